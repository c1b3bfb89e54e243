/** How often checkpoints are made and where they are kept: settings that travel to workers, resolved and checked. May hold a password. */
export interface CheckpointSettings {
  /** Between two checkpoints of a partition, in milliseconds. */
  readonly interval: number;
  readonly store: CheckpointStoreSettings;
}

/** Where checkpoints are kept. */
export type CheckpointStoreSettings =
  /** `redis://[user:password@]host:port[/db]` or `rediss://`. */
  | { readonly redis: { readonly url: string } }
  /** A key-value bucket of the NATS servers. */
  | { readonly natsKv: { readonly bucket: string } }
  /** A folder, absolute; it serves one supervisor. */
  | { readonly file: { readonly path: string } };
