import type { Service } from "../runtime/lifecycle.ts";

/** Starts a service; it will be stopped before those that were started earlier. */
export async function run(started: Service[], service: Service): Promise<void> {
  started.push(service);
  await service.start();
}

/** Something that has run since it was made and only needs to be stopped. */
export function onStop(name: string, stop: () => void | Promise<void>): Service {
  return { name, start: () => Promise.resolve(), stop: async () => stop() };
}
