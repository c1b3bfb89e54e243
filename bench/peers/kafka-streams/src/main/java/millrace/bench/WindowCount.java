package millrace.bench;

/** The bids for one auction in one window. */
public record WindowCount(String key, long start, long end, long count) {}
