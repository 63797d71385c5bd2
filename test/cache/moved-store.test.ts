import { describeSharedCacheProvider } from "../contracts/shared-cache-provider.ts";
import { ManualClock } from "../support/clock.ts";
import { MovedStore } from "./moved-store.ts";

describeSharedCacheProvider("the store with a moved clock", async () => {
  const clock = new ManualClock();
  const provider = new MovedStore(clock);
  const raw = {
    set: async (key: string, text: string) => provider.setRaw(key, text),
    delete: (key: string) => provider.delete(key),
    leftMs: async (key: string) => provider.leftMs(key),
    advance: (ms: number) => clock.advance(ms),
  };
  return { provider, raw };
});
