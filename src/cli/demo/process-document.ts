import { defineTask } from "../../workflow/define-task.ts";
import { chanceOf } from "./chance.ts";
import { inputSchema } from "./input.ts";
import { pretendToWork } from "./pretend.ts";

/** Reads a quarter of a document's pages. */
function readQuarter(quarter: number) {
  return async (context: Parameters<typeof pretendToWork>[0] & { readonly input: { readonly document: number } }) => {
    const { document } = context.input;
    await pretendToWork(context, { subject: `document ${document}`, fromMs: 60, toMs: 400 });
    return { quarter, words: 200 + Math.floor(400 * chanceOf(`words ${document} ${quarter}`)) };
  };
}

/** A document to be searched: one step fans out into four that run at the same time, and one waits for them all. */
export const processDocument = defineTask({
  namespace: "documents",
  name: "process_document",
  version: "1.0.0",
  input: inputSchema({ document: "whole number", url: "text" }),
})
  .step("fetch", async (context) => {
    const { document } = context.input;
    await pretendToWork(context, { subject: `document ${document}`, fromMs: 50, toMs: 250 });
    return { bytes: 10_000 + Math.floor(90_000 * chanceOf(`bytes ${document}`)) };
  })
  .step("split", { after: ["fetch"] }, async (context) => {
    await pretendToWork(context, { subject: `document ${context.input.document}`, fromMs: 20, toMs: 80 });
    return { pages: Math.ceil(context.results.fetch.bytes / 5000) };
  })
  .step("read_quarter_1", { after: ["split"] }, readQuarter(1))
  .step("read_quarter_2", { after: ["split"] }, readQuarter(2))
  .step("read_quarter_3", { after: ["split"] }, readQuarter(3))
  .step("read_quarter_4", { after: ["split"] }, readQuarter(4))
  .step(
    "merge",
    { after: ["read_quarter_1", "read_quarter_2", "read_quarter_3", "read_quarter_4"] },
    async (context) => {
      await pretendToWork(context, { subject: `document ${context.input.document}`, fromMs: 30, toMs: 120 });
      return { words: Object.values(context.results).reduce((sum, { words }) => sum + words, 0) };
    },
  )
  .step("index", { after: ["merge"] }, async (context) => {
    await pretendToWork(context, { subject: `document ${context.input.document}`, fromMs: 40, toMs: 150 });
    return { url: context.input.url, words: context.results.merge.words };
  });
