import type { ReadOptions } from "../cache/read-through.ts";

/** What is asked of a cache: ready to be read. */
export interface Question {
  readonly key: string;
  readonly options: ReadOptions;
}

/**
 * The questions that parameters make. They are remembered for objects that cannot change, as those which the HTTP endpoints
 * hand in for equal queries; and for as long as the object lives.
 */
export class Questions<Parameters extends object> {
  readonly #make: (parameters: Parameters) => Question;
  readonly #known = new WeakMap<Parameters, Question>();

  constructor(make: (parameters: Parameters) => Question) {
    this.#make = make;
  }

  /** What was prepared of this very object. */
  known(parameters: Parameters): Question | undefined {
    return this.#known.get(parameters);
  }

  /** @throws what making it throws */
  prepare(parameters: Parameters): Question {
    const question = this.#make(parameters);
    if (cannotChange(parameters)) this.#known.set(parameters, question);
    return question;
  }
}

/** Frozen, with nothing inherited and nothing computed: a frozen getter may still answer differently each time. */
function cannotChange(parameters: object): boolean {
  if (!Object.isFrozen(parameters)) return false;
  const prototype: unknown = Object.getPrototypeOf(parameters);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(Object.getOwnPropertyDescriptors(parameters)).every((property) => "value" in property);
}
