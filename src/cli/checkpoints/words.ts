/** Numbers and times of checkpoints as people read them. */

const UNITS = ["bytes", "KiB", "MiB", "GiB"] as const;

export function bytesText(bytes: number): string {
  const power = bytes === 0 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  const shown = bytes / 1024 ** power;
  return `${power === 0 ? shown : shown.toFixed(1)} ${UNITS[power]}`;
}

/** How long ago: the largest unit, and the next one. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** A time; a watermark before any event, and at the end of the input, as words. */
export function timeText(ms: number | undefined): string {
  if (ms === undefined) return "-";
  if (ms === Number.NEGATIVE_INFINITY) return "none yet";
  if (ms === Number.POSITIVE_INFINITY) return "end of input";
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
