/** A process that asks for a URL, so many times, as fast as it can. */
import autocannon from "autocannon";

import { report, told } from "../support/child.ts";
import { isLoad, type Measured } from "./protocol.ts";

const { url, connections, requests: amount, acceptEncoding } = await told(isLoad);
const headers = { "accept-encoding": acceptEncoding };
const { requests, latency, errors, timeouts, non2xx } = await autocannon({
  url,
  connections,
  amount,
  headers,
});
const measured: Measured = {
  answered: requests.total,
  p50Ms: latency.p50,
  p99Ms: latency.p99,
  failures: errors + timeouts + non2xx,
};
report(measured);
process.disconnect();
