/** What is used of Amazon's library, in a module of its own, so that it is loaded only where such a store is used. */
export {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
