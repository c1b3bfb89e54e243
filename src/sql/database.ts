/** A database that rows are written to. Two kinds: PostgreSQL and SQLite. */
export interface Database extends AsyncDisposable {
  /**
   * Looks whether the table is there and can be seen.
   * @throws {NotReadyError} when it is not; {InfrastructureError} when the database is away or busy
   */
  check(table: string): Promise<void>;
  /**
   * Writes rows with one statement, all or none.
   * @throws {InfrastructureError} when the database is away or busy; {NotReadyError} when the table is missing;
   *   {RowRefusedError} when it does not take one of the rows
   */
  write(statement: Statement): Promise<void>;
  /** The most parameters of one statement. */
  readonly maxParameters: number;
}

/** Rows for a table. */
export interface Statement {
  /** `table` or `schema.table`, unquoted. */
  readonly table: string;
  readonly columns: readonly string[];
  /** One value for each column; undefined for what the database gives a column that is left out, only where rows are inserted. */
  readonly rows: readonly (readonly (SqlValue | undefined)[])[];
  /** Columns of the unique key whose row is replaced; undefined: rows are inserted only. */
  readonly key: readonly string[] | undefined;
}

export type SqlValue = string | number | bigint | boolean | null | Uint8Array;

/** The database refuses a row for what is in it. */
export class RowRefusedError extends Error {
  override readonly name = "RowRefusedError";
}

/** `INSERT` text with a placeholder for each value that is given, row by row; names are quoted. */
export function insertText(statement: Statement, placeholder: (index: number) => string): string {
  const { table, columns, rows, key } = statement;
  let index = 0;
  const values = rows.map((row) => `(${row.map((value) => (value === undefined ? "DEFAULT" : placeholder(++index))).join(",")})`).join(",");
  return `INSERT INTO ${quotedTable(table)} (${columns.map(quoted).join(",")}) VALUES ${values}${onConflict(columns, key)}`;
}

/** The values of a statement that are given, in the order of its placeholders. */
export function givenValues({ rows }: Statement): SqlValue[] {
  return rows.flat().filter((value) => value !== undefined);
}

/** A statement that reads nothing, and fails when the table is missing. */
export function checkText(table: string): string {
  return `SELECT 1 FROM ${quotedTable(table)} LIMIT 0`;
}

function onConflict(columns: readonly string[], key: readonly string[] | undefined): string {
  if (key === undefined) return "";
  const others = columns.filter((column) => !key.includes(column));
  const target = `ON CONFLICT (${key.map(quoted).join(",")})`;
  if (others.length === 0) return ` ${target} DO NOTHING`;
  return ` ${target} DO UPDATE SET ${others.map((column) => `${quoted(column)} = excluded.${quoted(column)}`).join(", ")}`;
}

function quotedTable(table: string): string {
  return table.split(".").map(quoted).join(".");
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
