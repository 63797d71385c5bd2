/** A process in which one contender works, when its parent asks. */
import { answerWith, report, told } from "../support/child.ts";
import { loadContender } from "./contenders/all.ts";
import type { Worker } from "./contenders/contract.ts";
import { type Answer, isAssignment, isQuestion, machineMs, type Question, type Run } from "./protocol.ts";
import { stepsOf } from "./workloads.ts";

const assignment = await told(isAssignment);
const contender = await loadContender(assignment.contender);

let runs: Run[] = [];
let onRun: (run: Run) => void = () => {};
let worker: Worker | undefined;

answerWith((question) => {
  if (!isQuestion(question)) throw new Error(`asked ${JSON.stringify(question)}`);
  return answer(question);
});
report({ ready: true });

async function answer(question: Question): Promise<Answer> {
  let enqueuedMs: number[] = [];
  switch (question.do) {
    case "start":
      worker = await contender.start({ ...assignment, workload: question.workload, record });
      break;
    case "chains":
      enqueuedMs = await runChains(question.chains, question.enoughMs);
      break;
    case "stop":
      await worker?.stop();
      break;
    case "tell":
      break;
  }
  const ran = runs;
  runs = [];
  return { runs: ran, enqueuedMs };
}

function record(task: string, place: number): void {
  const run = [task, place, machineMs()] as const;
  runs.push(run);
  onRun(run);
}

/** Nothing else is queued, and one step runs at a time. */
async function runChains(chains: number, enoughMs: number): Promise<number[]> {
  if (worker === undefined) throw new Error("chains run after the start");
  const enqueuedMs: number[] = [];
  const last = stepsOf({ kind: "chain" }).length - 1;
  const enoughAtMs = machineMs() + enoughMs;
  for (let left = chains; left > 0 && machineMs() < enoughAtMs; left--) {
    const ended = new Promise<void>((resolve) => {
      onRun = ([, place]) => {
        if (place === last) resolve();
      };
    });
    enqueuedMs.push(machineMs());
    await worker.enqueue();
    await ended;
  }
  return enqueuedMs;
}
