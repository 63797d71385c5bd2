import { v7 } from "uuid";

/** A new UUIDv7 (RFC 9562). Identity only: its time is the process's, and nothing is ordered by it alone. */
export function newId(): string {
  return v7();
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu;

/** Whether a text is a UUID as Postgres prints it. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}
