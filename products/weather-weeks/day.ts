import { z } from "millrace";

/** One day of one city. Millimetres, degrees Celsius, metres per second. */
export const day = z.object({
  city: z.string(),
  date: z.iso.date(),
  precipitation: z.number().nonnegative(),
  temp_max: z.number(),
  temp_min: z.number(),
  wind: z.number().nonnegative(),
});

export type Day = z.infer<typeof day>;
