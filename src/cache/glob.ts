/**
 * Whether a pattern of `*` (any run of characters), `?` (exactly one) and literal characters matches the whole text.
 *
 * Not a regular expression: backtracking into only the last `*` bounds the work by the product of the two lengths,
 * whatever the pattern. A text that matches up to a later `*` need never try an earlier one again.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let patternAt = 0;
  let textAt = 0;
  let lastStar = -1;
  let lastStarText = 0;
  while (textAt < text.length) {
    const wanted = pattern[patternAt];
    if (wanted === "*") {
      lastStar = patternAt;
      lastStarText = textAt;
      patternAt += 1;
    } else if (wanted === "?" || wanted === text[textAt]) {
      patternAt += 1;
      textAt += 1;
    } else if (lastStar >= 0) {
      lastStarText += 1;
      textAt = lastStarText;
      patternAt = lastStar + 1;
    } else {
      return false;
    }
  }
  while (pattern[patternAt] === "*") patternAt += 1;
  return patternAt === pattern.length;
}
