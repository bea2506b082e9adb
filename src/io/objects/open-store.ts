import type { StoreAddress } from '../../domain/store-address.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Dice } from '../../lib/dice.ts'
import type { OutsideStore } from '../../services/gateway/outside-store.ts'
import { FolderObjects } from './folder-objects.ts'
import { GoogleObjects } from './google-objects.ts'
import { S3Objects } from './s3-objects.ts'

/**
 * The store at an address; `isPublic` makes what is saved readable for everybody. Nothing is connected to before it is
 * used.
 */
export function openStore(
  address: StoreAddress,
  { isPublic }: { readonly isPublic: boolean },
  { clock, dice }: { readonly clock: Clock; readonly dice: Dice },
): OutsideStore {
  const { place, shown } = address
  switch (place.kind) {
    case 'folder':
      return new FolderObjects(place, { dice })
    case 's3':
      return new S3Objects(place, { shown, isPublic }, { clock })
    case 'google':
      return new GoogleObjects(place, { shown, isPublic })
  }
}
