/** System calls that a confined worker may not make. Numbers by architecture; null if it has no such call. */

type Architecture = 'x64' | 'arm64'
type Numbers = readonly [x64: number | null, arm64: number | null]

/** Calls that start programs and processes, or reach other processes, the network or the system itself. */
const refused: Readonly<Record<string, Numbers>> = {
  // Programs and processes.
  execve: [59, 221],
  execveat: [322, 281],
  fork: [57, null],
  vfork: [58, null],
  // Other processes.
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  pidfd_open: [434, 434],
  pidfd_send_signal: [424, 424],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  tkill: [200, 130],
  // The network, and channels between processes.
  accept: [43, 202],
  accept4: [288, 242],
  bind: [49, 200],
  connect: [42, 203],
  listen: [50, 201],
  mq_open: [240, 180],
  msgget: [68, 186],
  semget: [64, 190],
  shmget: [29, 194],
  // Namespaces, mounts, the root.
  chroot: [161, 51],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  mknod: [133, null],
  mknodat: [259, 33],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  pivot_root: [155, 41],
  setns: [308, 268],
  umount2: [166, 39],
  unshare: [272, 97],
  // Large and rarely used parts of the kernel, where vulnerabilities are found.
  add_key: [248, 217],
  bpf: [321, 280],
  fanotify_init: [300, 262],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  io_uring_setup: [425, 425],
  keyctl: [250, 219],
  lookup_dcookie: [212, 18],
  migrate_pages: [256, 238],
  modify_ldt: [154, null],
  move_pages: [279, 239],
  nfsservctl: [180, 42],
  perf_event_open: [298, 241],
  personality: [135, 92],
  request_key: [249, 218],
  syslog: [103, 116],
  uselib: [134, null],
  userfaultfd: [323, 282],
  vmsplice: [278, 75],
  // The machine.
  acct: [163, 89],
  adjtimex: [159, 171],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  finit_module: [313, 273],
  init_module: [175, 105],
  ioperm: [173, null],
  iopl: [172, null],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  vhangup: [153, 58],
}

/** Their first argument is a process, which must be the caller. */
const ownProcessOnly: Readonly<Record<string, Numbers>> = {
  kill: [62, 129],
  rt_sigqueueinfo: [129, 138],
  rt_tgsigqueueinfo: [297, 240],
  tgkill: [234, 131],
}

const clone: Numbers = [56, 220]
const clone3: Numbers = [435, 435]
const ioctl: Numbers = [16, 29]
const prlimit64: Numbers = [302, 261]
const socket: Numbers = [41, 198]

/** Newer calls than these, which neither FFmpeg nor Node.js needs. */
const FIRST_UNKNOWN = 463
/** On x64, the numbers of the x32 ABI start here. */
const X32_BIT = 0x4000_0000
/** The flag of `clone` for a thread. */
const CLONE_THREAD = 0x10000
const AF_UNIX = 1
/** Puts input into the terminal as if its user typed it. */
const TERMINAL_INPUT = [0x5412, 0x541c]

const AUDIT: Readonly<Record<Architecture, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 }

const ALLOW = 0x7fff0000
const KILL_PROCESS = 0x80000000
const ERRNO = 0x00050000
const EPERM = 1
const ENOSYS = 38

const OFFSET = { number: 0, architecture: 4, firstArgument: 16, secondArgument: 24 }

const LOAD = 0x20
const JUMP_EQUAL = 0x15
const JUMP_AT_LEAST = 0x35
const JUMP_BITS = 0x45
const RETURN = 0x06

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number]

/** Options of a filter. */
export interface FilterOptions {
  readonly arch: string
  /** The process that may send signals to itself. */
  readonly pid: number
  /** Whether it may create local sockets, as GPU drivers do. */
  readonly allowsLocalSockets: boolean
  /** Whether it may still execute another program, which it must do once while the walls are put up. */
  readonly allowsExecution: boolean
}

/**
 * A seccomp filter for a worker: it cannot start programs, reach other processes or change the system. Other calls stay
 * allowed, because encoders and drivers differ in what they use. Null for an unknown architecture.
 */
export function workerFilter(options: FilterOptions): Uint8Array | null {
  const { allowsExecution, allowsLocalSockets, arch, pid } = options
  if (arch !== 'x64' && arch !== 'arm64') return null
  const of = ([x64, arm64]: Numbers) => (arch === 'x64' ? x64 : arm64)
  const load = (offset: number): Instruction => [LOAD, 0, 0, offset]
  const answer = (action: number): Instruction => [RETURN, 0, 0, action]
  /** If the call is this one, the instructions decide; they end with an answer. */
  const when = (numbers: Numbers, instructions: readonly Instruction[]): readonly Instruction[] => {
    const number = of(numbers)
    return number === null ? [] : [[JUMP_EQUAL, 0, instructions.length, number], ...instructions]
  }
  const isOwn = (argument: number): readonly Instruction[] => [
    load(argument),
    [JUMP_EQUAL, 0, 1, pid],
    answer(ALLOW),
    answer(ERRNO | EPERM),
  ]
  const banned = Object.entries(refused).filter(([name]) => !(allowsExecution && name === 'execve'))
  const program: readonly Instruction[] = [
    load(OFFSET.architecture),
    [JUMP_EQUAL, 1, 0, AUDIT[arch]],
    answer(KILL_PROCESS),
    load(OFFSET.number),
    [JUMP_AT_LEAST, 0, 1, arch === 'x64' ? X32_BIT : 0xffff_ffff],
    answer(KILL_PROCESS),
    [JUMP_AT_LEAST, 0, 1, FIRST_UNKNOWN],
    answer(ERRNO | ENOSYS),
    // Its flags are in memory that a filter cannot read; callers fall back to clone.
    ...when(clone3, [answer(ERRNO | ENOSYS)]),
    ...when(clone, [
      load(OFFSET.firstArgument),
      [JUMP_BITS, 0, 1, CLONE_THREAD],
      answer(ALLOW),
      answer(ERRNO | EPERM),
    ]),
    ...banned.flatMap(([, numbers]) => when(numbers, [answer(ERRNO | EPERM)])),
    ...Object.values(ownProcessOnly).flatMap((numbers) => when(numbers, isOwn(OFFSET.firstArgument))),
    ...when(prlimit64, [
      load(OFFSET.firstArgument),
      [JUMP_EQUAL, 2, 0, 0],
      [JUMP_EQUAL, 1, 0, pid],
      answer(ERRNO | EPERM),
      answer(ALLOW),
    ]),
    ...when(ioctl, [
      load(OFFSET.secondArgument),
      ...TERMINAL_INPUT.flatMap((request): Instruction[] => [
        [JUMP_EQUAL, 0, 1, request],
        answer(ERRNO | EPERM),
      ]),
      answer(ALLOW),
    ]),
    ...when(socket, [
      load(OFFSET.firstArgument),
      ...(allowsLocalSockets ? ([[JUMP_EQUAL, 0, 1, AF_UNIX], answer(ALLOW)] as const) : []),
      answer(ERRNO | EPERM),
    ]),
    answer(ALLOW),
  ]
  const bytes = Buffer.alloc(program.length * 8)
  program.forEach(([code, ifTrue, ifFalse, value], index) => {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(ifTrue, index * 8 + 2)
    bytes.writeUInt8(ifFalse, index * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4)
  })
  return bytes
}
