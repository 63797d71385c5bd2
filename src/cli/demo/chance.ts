/**
 * A number in [0, 1) that is always the same for the same text: the demo looks random and repeats itself exactly.
 *
 * FNV-1a (Fowler, Noll, Vo) in 32 bits, finished as in MurmurHash3 (Appleby) so that neighbours differ in every bit.
 */
export function chanceOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
