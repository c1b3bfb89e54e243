package millrace.bench;

/** A bid of NEXMark, in the order of its fields in JSON. */
public final class Bid {
  public long n;
  public long auction;
  public long bidder;
  public double price;
  public String channel;
  public String url;
  public long dateTime;
  public String extra;
}
