import { TaskerError } from "../workflow/errors.ts";

/** No such template is registered. */
export class UnknownTemplateError extends TaskerError {
  readonly code = "unknown_template";
}

/** The graph of a version that has tasks cannot change. */
export class GraphChangedError extends TaskerError {
  readonly code = "graph_changed";
}

/** The identities of the analytics are bounded, and this registration would go beyond. */
export class TooManyIdentitiesError extends TaskerError {
  readonly code = "too_many_identities";
}
