import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { recordedTerminal } from "./terminals.ts";

const clear = "\r\u001B[2K";

describe("a terminal", () => {
  test("has colours where a person watches, unless NO_COLOR is set to anything", () => {
    const bold = (options: Parameters<typeof recordedTerminal>[0]): string =>
      recordedTerminal(options).terminal.style("bold", "x");
    assert.equal(bold({ isTTY: true }), "\u001B[1mx\u001B[22m");
    assert.equal(bold({ isTTY: true, noColor: "" }), "\u001B[1mx\u001B[22m");
    assert.equal(bold({ isTTY: true, noColor: "0" }), "x");
    assert.equal(bold({ isTTY: false }), "x");
  });

  test("keeps its living line below all other output, and shows each text once", () => {
    const { terminal, out } = recordedTerminal({ isTTY: true });
    terminal.live("1 of 2");
    terminal.live("1 of 2");
    terminal.print("news");
    terminal.live("");
    terminal.live("");
    terminal.print("end");
    assert.equal(out(), `${clear}1 of 2${clear}news\n1 of 2${clear}end\n`);
  });

  test("cuts a living line that would wrap, and takes 80 columns where the width is not known", () => {
    const shown = (columns: number): string => {
      const { terminal, out } = recordedTerminal({ isTTY: true, columns });
      terminal.live("x".repeat(100));
      return out().slice(clear.length);
    };
    assert.equal(shown(20), "x".repeat(19));
    assert.equal(shown(0), "x".repeat(79));
  });

  test("shows no living line where nobody watches", () => {
    const { terminal, out } = recordedTerminal();
    terminal.live("1 of 2");
    assert.equal(out(), "");
    assert.equal(terminal.isInteractive, false);
  });

  test("moves its living line out of the way of what goes to standard error", () => {
    const { terminal, out, err } = recordedTerminal({ isTTY: true });
    terminal.live("1 of 2");
    terminal.writeError("a warning\n");
    assert.equal(out(), `${clear}1 of 2${clear}1 of 2`);
    assert.equal(err(), "a warning\n");
  });
});
