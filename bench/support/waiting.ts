import { type Clock, sleep, type Timer } from "../../src/runtime/clock.ts";

const pollMs = 20;

/** Resolves as `work` does. @throws with `message` when that takes longer than `deadlineMs` */
export async function within<Result>(
  clock: Clock,
  deadlineMs: number,
  work: Promise<Result>,
  message: string,
): Promise<Result> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.schedule(deadlineMs, () => reject(new Error(message)));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer?.cancel();
  }
}

/** Asks again and again until the answer is yes. @throws with `message` when that takes longer than `deadlineMs` */
export async function until(
  clock: Clock,
  deadlineMs: number,
  isDone: () => Promise<boolean>,
  message: string,
): Promise<void> {
  const endMs = clock.monotonicMs() + deadlineMs;
  while (!(await isDone())) {
    if (clock.monotonicMs() > endMs) throw new Error(message);
    await sleep(clock, pollMs);
  }
}
