import { sleep, systemClock } from "../../src/runtime/clock.ts";

const pollMs = 20;

/**
 * Asks again and again until the answer is as expected, and returns it: for what another process brings about, which has no
 * signal for us.
 *
 * @param what completes the sentence "it did not come to pass that ...", with which it gives up after `limitMs`
 */
export async function eventually<Answer>(
  what: string,
  ask: () => Promise<Answer>,
  isExpected: (answer: Answer) => boolean,
  limitMs = 60_000,
): Promise<Answer> {
  const deadlineMs = systemClock.monotonicMs() + limitMs;
  for (;;) {
    const answer = await ask();
    if (isExpected(answer)) return answer;
    if (systemClock.monotonicMs() > deadlineMs) {
      throw new Error(`it did not come to pass that ${what}; at last: ${JSON.stringify(answer)}`);
    }
    await sleep(systemClock, pollMs);
  }
}
