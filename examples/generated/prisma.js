// Stands for what `prisma generate` makes of this schema with the generator "prisma-client" (7.10), without its types: the command
// itself downloads a program from Prisma's own server. Everything that runs is Prisma's: client, query compiler, adapter.
import { PrismaPg } from "@prisma/adapter-pg";
import { getPrismaClient } from "@prisma/client/runtime/client";

const schema = `datasource db {
  provider = "postgresql"
}
generator client {
  provider = "prisma-client"
  output   = "../gen"
}
model Order {
  id       Int     @id @default(autoincrement())
  customer String
  paid     Boolean
  @@map("orders")
}
`;

const scalar = (name, type) => ({ name, kind: "scalar", type });

const words = `where Order.findUnique Order.findUniqueOrThrow orderBy cursor Order.findFirst Order.findFirstOrThrow
Order.findMany data Order.createOne Order.createMany Order.createManyAndReturn Order.updateOne
Order.updateMany Order.updateManyAndReturn create update Order.upsertOne Order.deleteOne Order.deleteMany
having _count _avg _sum _min _max Order.groupBy Order.aggregate AND OR NOT id customer paid equals not in
notIn lt lte gt gte contains startsWith endsWith set increment decrement multiply divide`;

const graph = `MAsQBhwAACUAMB0AAAQAEB4AACUAMB8CAAAAASABACcAISEgACgAIQEAAAABACABAAAAAQAgBhwAACUAMB0AAAQAEB4AACUAMB8C
ACYAISABACcAISEgACgAIQADAAAABAAgAwAABQAwBAAAAQAgAwAAAAQAIAMAAAUAMAQAAAEAIAMAAAAEACADAAAFADAEAAABACAD
HwIAAAABIAEAAAABISAAAAABAQgAAAkAIAMfAgAAAAEgAQAAAAEhIAAAAAEBCAAACwAwAQgAAAsAMAMfAgAwACEgAQAuACEhIAAv
ACECAAAAAQAgCAAADgAgAx8CADAAISABAC4AISEgAC8AIQIAAAAEACAIAAAQACACAAAABAAgCAAAEAAgAwAAAAEAIA8AAAkAIBAA
AA4AIAEAAAABACABAAAABAAgBRUAACkAIBYAACoAIBcAAC0AIBgAACwAIBkAACsAIAYcAAAaADAdAAAXABAeAAAaADAfAgAbACEg
AQAcACEhIAAdACEDAAAABAAgAwAAFgAwFAAAFwAgAwAAAAQAIAMAAAUAMAQAAAEAIAYcAAAaADAdAAAXABAeAAAaADAfAgAbACEg
AQAcACEhIAAdACENFQAAHwAgFgAAJAAgFwAAHwAgGAAAHwAgGQAAHwAgIgIAAAABIwIAIwAhJAIAAAAEJQIAAAAEJgIAAAABJwIA
AAABKAIAAAABKQIAAAABDhUAAB8AIBgAACIAIBkAACIAICIBAAAAASMBACEAISQBAAAABCUBAAAABCYBAAAAAScBAAAAASgBAAAA
ASkBAAAAASoBAAAAASsBAAAAASwBAAAAAQUVAAAfACAYAAAgACAZAAAgACAiIAAAAAEjIAAeACEFFQAAHwAgGAAAIAAgGQAAIAAg
IiAAAAABIyAAHgAhCCICAAAAASMCAB8AISQCAAAABCUCAAAABCYCAAAAAScCAAAAASgCAAAAASkCAAAAAQIiIAAAAAEjIAAgACEO
FQAAHwAgGAAAIgAgGQAAIgAgIgEAAAABIwEAIQAhJAEAAAAEJQEAAAAEJgEAAAABJwEAAAABKAEAAAABKQEAAAABKgEAAAABKwEA
AAABLAEAAAABCyIBAAAAASMBACIAISQBAAAABCUBAAAABCYBAAAAAScBAAAAASgBAAAAASkBAAAAASoBAAAAASsBAAAAASwBAAAA
AQ0VAAAfACAWAAAkACAXAAAfACAYAAAfACAZAAAfACAiAgAAAAEjAgAjACEkAgAAAAQlAgAAAAQmAgAAAAEnAgAAAAEoAgAAAAEp
AgAAAAEIIggAAAABIwgAJAAhJAgAAAAEJQgAAAAEJggAAAABJwgAAAABKAgAAAABKQgAAAABBhwAACUAMB0AAAQAEB4AACUAMB8C
ACYAISABACcAISEgACgAIQgiAgAAAAEjAgAfACEkAgAAAAQlAgAAAAQmAgAAAAEnAgAAAAEoAgAAAAEpAgAAAAELIgEAAAABIwEA
IgAhJAEAAAAEJQEAAAAEJgEAAAABJwEAAAABKAEAAAABKQEAAAABKgEAAAABKwEAAAABLAEAAAABAiIgAAAAASMgACAAIQAAAAAA
AS0BAAAAAQEtIAAAAAEFLQIAAAABLgIAAAABLwIAAAABMAIAAAABMQIAAAABAAAAAAUVAAYWAAcXAAgYAAkZAAoAAAAAAAUVAAYW
AAcXAAgYAAkZAAoBAgECAwEFBgEGBwEHCAEJCgEKDAILDQMMDwENEQIOEgQREwESFAETFQIaGAUbGQs`;

const Client = getPrismaClient({
  previewFeatures: [],
  clientVersion: "7.10.0",
  engineVersion: "0edf323efd1d98336f3f0a68684b56f689b900d3",
  activeProvider: "postgresql",
  inlineSchema: schema,
  runtimeDataModel: {
    models: {
      Order: {
        dbName: "orders",
        schema: null,
        fields: [scalar("id", "Int"), scalar("customer", "String"), scalar("paid", "Boolean")],
      },
    },
    enums: {},
    types: {},
  },
  parameterizationSchema: { strings: words.split(/\s/u), graph: graph.replaceAll("\n", "") },
  compilerWasm: {
    getRuntime: () => import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.mjs"),
    getQueryCompilerWasmModule: async () => {
      const { wasm } = await import("@prisma/client/runtime/query_compiler_fast_bg.postgresql.wasm-base64.mjs");
      return new WebAssembly.Module(Buffer.from(wasm, "base64"));
    },
    importName: "./query_compiler_fast_bg.js",
  },
});

/**
 * Connects at the first query.
 *
 * @param {string} connectionString
 */
export function openPrisma(connectionString) {
  return new Client({ adapter: new PrismaPg({ connectionString }) });
}
