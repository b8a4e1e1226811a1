/** Is told how far work is, for people. */
export interface Reporter {
  /**
   * @param what is done, for example `training`
   * @param done of `total`, in any unit
   * @param note what else is worth seeing, for example the loss
   */
  progress (what: string, done: number, total: number, note?: string): void
  /** Something that happened, in a line. */
  log (line: string): void
}
