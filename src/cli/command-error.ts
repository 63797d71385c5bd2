/** How a command ends. */
export const exitCodes = Object.freeze({ success: 0, failure: 1, usage: 2 });

/** A command cannot do what it was asked to. The message is one line for people that says how to mend it. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;

  constructor(message: string, options?: ErrorOptions & { readonly exitCode?: number }) {
    super(message, options);
    this.exitCode = options?.exitCode ?? exitCodes.failure;
  }
}
