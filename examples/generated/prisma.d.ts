/** The client of an interactive transaction, as far as the example uses it. */
export interface OrdersTransaction {
  readonly order: { create(query: { data: { customer: string; paid: boolean } }): Promise<{ readonly id: number }> };
  $queryRawUnsafe(query: string, ...values: unknown[]): PromiseLike<unknown>;
}

export interface OrdersClient extends OrdersTransaction {
  $transaction<T>(work: (tx: OrdersTransaction) => Promise<T>): Promise<T>;
  $connect(): Promise<void>;
  $disconnect(): Promise<void>;
}

/** Connects at the first query. */
export declare function openPrisma(connectionString: string): OrdersClient;
