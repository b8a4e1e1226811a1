/** What the user asked for cannot be done as it was said: an option, a file or a value is wrong. */
export class InvalidOptionError extends Error {
  override readonly name = 'InvalidOptionError'
}

/** An invite that was damaged when it was copied, or that is of another version or to another job than it says. */
export class InvalidInviteError extends Error {
  override readonly name = 'InvalidInviteError'
}

/** A folder does not hold a base model that we can load. */
export class InvalidModelError extends Error {
  override readonly name = 'InvalidModelError'
}

/** The bytes received, or the file read, do not describe tensors we accept. */
export class InvalidTensorError extends Error {
  override readonly name = 'InvalidTensorError'
}

/** The base model has no site of that name. */
export class UnknownSiteError extends Error {
  override readonly name = 'UnknownSiteError'
}

/** A batch does not fit the base model: too long, outside its vocabulary, or ragged. */
export class InvalidBatchError extends Error {
  override readonly name = 'InvalidBatchError'
}

/** Training data that cannot be read, or that holds nothing to train on. */
export class InvalidDataError extends Error {
  override readonly name = 'InvalidDataError'
}

/** An adapter folder that we cannot read, or that does not fit the base model or the job. */
export class InvalidAdapterError extends Error {
  override readonly name = 'InvalidAdapterError'
}

/** A loss, gradient or weight became NaN or infinite. */
export class NonFiniteError extends Error {
  override readonly name = 'NonFiniteError'
}

/** What was asked to compute cannot be started here: a TensorFlow.js backend, or a device. */
export class BackendError extends Error {
  override readonly name = 'BackendError'
}

/** A step uses what cannot be compiled; it still runs eagerly. */
export class UnsupportedKernelError extends Error {
  override readonly name = 'UnsupportedKernelError'
}

/** The engine stopped while it worked, or cannot do what it was asked for. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
}

/** A message from a peer does not follow its protocol. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** Adaptation data were made with an auxiliary that has been fitted since. */
export class StaleDataError extends Error {
  override readonly name = 'StaleDataError'
}

/** A step needs more memory than its engine may take. */
export class MemoryLimitError extends Error {
  override readonly name = 'MemoryLimitError'
}

/** A peer said no, and why. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

/** A host was asked for a step of a job that was not opened there, or that it has forgotten. */
export class UnknownJobError extends Error {
  override readonly name = 'UnknownJobError'
}

/** No peer that we can reach offers what is needed. */
export class NoHostError extends Error {
  override readonly name = 'NoHostError'
}

/** A peer is reached through a relay only, and a direct connection does not come about. */
export class RelayedOnlyError extends Error {
  override readonly name = 'RelayedOnlyError'
}

/** The host has as much to do as it takes on: later, or elsewhere, the same is possible. */
export class HostBusyError extends Error {
  override readonly name = 'HostBusyError'
}

/** A host has as much of one trainer as it takes on: the same is possible there in a while. */
export class QuotaError extends Error {
  override readonly name = 'QuotaError'
}

/** A host serves another base model than the one it advertised or than the job names. */
export class ModelMismatchError extends Error {
  override readonly name = 'ModelMismatchError'
}

/** A blob that no holder could give whole and unaltered. */
export class BlobUnavailableError extends Error {
  override readonly name = 'BlobUnavailableError'
}

/** Another live process uses the same node folder. */
export class FolderInUseError extends Error {
  override readonly name = 'FolderInUseError'
}

/** What the Hugging Face Hub would not give, or not whole and unaltered. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError'
}
