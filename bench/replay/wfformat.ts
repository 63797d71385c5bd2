import { TraceError } from "./trace-error.ts";

/** The tasks of a WfFormat 1.5 file, as far as a replay needs them. */
export interface WfTasks {
  readonly tasks: readonly WfTask[];
  /** Seconds by task id; null where the file has an execution without a run time. */
  readonly runSeconds: ReadonlyMap<string, number | null>;
}

/** A task of the specification. */
export interface WfTask {
  readonly id: string;
  readonly name: string;
  readonly parents: readonly string[];
  readonly children: readonly string[];
}

const schemaVersion = "1.5";

/**
 * Decodes a WfFormat 1.5 document (https://github.com/wfcommons/WfFormat). Everything that a replay does not need is ignored.
 *
 * @param trace names the document in errors
 * @throws TraceError that says where the document is not what it should be
 */
export function decodeWfFormat(trace: string, document: unknown): WfTasks {
  const root = new Place(trace, "the document", document);
  const version = root.field("schemaVersion").value;
  if (version !== schemaVersion) {
    throw new TraceError(trace, `schemaVersion should be "${schemaVersion}", got ${shown(version)}`);
  }
  const workflow = root.field("workflow");
  const tasks = workflow.field("specification").field("tasks").items().map(decodeTask);
  const executed = workflow.field("execution").field("tasks").items();
  const runSeconds = new Map<string, number | null>();
  for (const place of executed) {
    const id = place.field("id").text();
    if (runSeconds.has(id)) throw new TraceError(trace, `task ${shown(id)} was executed twice`);
    runSeconds.set(id, place.field("runtimeInSeconds").seconds(`the run time of task ${shown(id)}`));
  }
  return { tasks, runSeconds };
}

function decodeTask(place: Place): WfTask {
  const id = place.field("id").text();
  const name = place.field("name");
  return {
    id,
    name: name.isMissing ? id : name.text(),
    parents: place.field("parents").texts(),
    children: place.field("children").texts(),
  };
}

/** A value and where it stands, for messages. */
class Place {
  readonly #trace: string;
  readonly #path: string;
  readonly value: unknown;

  constructor(trace: string, path: string, value: unknown) {
    this.#trace = trace;
    this.#path = path;
    this.value = value;
  }

  field(name: string): Place {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.#fail("an object");
    const path = this.#path === "the document" ? name : `${this.#path}.${name}`;
    return new Place(this.#trace, path, Object.getOwnPropertyDescriptor(value, name)?.value);
  }

  get isMissing(): boolean {
    return this.value === undefined || this.value === null;
  }

  items(): Place[] {
    if (!Array.isArray(this.value)) this.#fail("a list");
    return this.value.map((item, index) => new Place(this.#trace, `${this.#path}[${index}]`, item));
  }

  text(): string {
    if (typeof this.value !== "string" || this.value === "") this.#fail("a text that is not empty");
    return this.value;
  }

  /** A list of texts; a missing one is empty. */
  texts(): string[] {
    return this.isMissing ? [] : this.items().map((item) => item.text());
  }

  seconds(what: string): number | null {
    if (this.isMissing) return null;
    if (typeof this.value !== "number" || !(this.value >= 0 && this.value < Number.POSITIVE_INFINITY)) {
      throw new TraceError(this.#trace, `${what} should be seconds, 0 or more, got ${shown(this.value)}`);
    }
    return this.value;
  }

  #fail(expected: string): never {
    throw new TraceError(this.#trace, `${this.#path} should be ${expected}, got ${shown(this.value)}`);
  }
}

const shownCharactersMax = 80;

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}…` : text;
}
