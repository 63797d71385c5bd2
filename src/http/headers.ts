/** On every answer. Nothing names the software. */
export const securityHeaders = Object.freeze({
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
});
