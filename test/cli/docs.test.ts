import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import type { Command } from "commander";

import { createProgram } from "../../src/cli/program.ts";
import { codeBlocks } from "../support/documents.ts";
import { recordedTerminal } from "./terminals.ts";

const text = readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8");
const program = createProgram({ terminal: recordedTerminal().terminal, env: {} });

/** The commands that do something, by what is typed for them. */
function leaves(command: Command, path: string): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`));
}

/** What stands between a heading and the next one. */
function sectionOf(heading: string): string {
  const sections = text.split(/^## /mu);
  return sections.find((section) => section.startsWith(`${heading}\n`)) ?? "";
}

/** The options in a section's table: everything in code in the first column. */
function documentedOptions(section: string): string[] {
  const cells = [...section.matchAll(/^\| (`--[^|]*) \|/gmu)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/gu)].map(([, option = ""]) => option)).toSorted();
}

const optionsOf = (command: Command): string[] => command.options.map(({ flags }) => flags).toSorted();

describe("docs/cli.md", () => {
  const commands = leaves(program, "tasker");

  test("has a section and a row for each command, and no others", () => {
    const headings = [...text.matchAll(/^## (tasker .*)$/gmu)].map(([, heading]) => heading);
    const rows = [...text.matchAll(/^\| \[`(tasker [^`]*)`\]\(#\S+\) \|/gmu)].map(([, row]) => row);
    const paths = commands.map(([path]) => path);
    assert.deepEqual(headings, paths);
    assert.deepEqual(rows, paths);
  });

  test("tells the options that all commands have", () => {
    const documented = documentedOptions(sectionOf("What all have in common"));
    assert.deepEqual(documented, [...optionsOf(program), "--help"].toSorted());
  });

  for (const [path, command] of commands) {
    test(`tells the options of ${path}, and gives an example`, () => {
      const section = sectionOf(path);
      assert.deepEqual(documentedOptions(section), optionsOf(command));
      const examples = codeBlocks({ path, text: section }).filter(({ language }) => language === "sh");
      assert.ok(examples.some((example) => example.text.includes(path)));
    });
  }

  test("gives examples that the commands understand", () => {
    for (const block of codeBlocks({ path: "docs/cli.md", text }).filter(({ language }) => language === "sh")) {
      for (const option of block.text.matchAll(/(?<![\w-])--[a-z-]+/gu)) {
        assert.ok(text.includes(`\`${option[0]}`), option[0]);
      }
    }
  });
});
