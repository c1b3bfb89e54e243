package millrace.bench;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Runs one job until it is told to end. Arguments, as name=value: brokers, application, input, output, job (change or count), threads,
 * state (a folder), store (rocksdb or memory), linger (of the producer, in milliseconds; Kafka Streams' own default is 100).
 */
public final class Peer {
  private static final Duration WINDOW = Duration.ofSeconds(10);

  private Peer() {}

  public static void main(String[] args) {
    Map<String, String> options = new HashMap<>();
    for (String arg : args) {
      int sign = arg.indexOf('=');
      options.put(arg.substring(0, sign), arg.substring(sign + 1));
    }
    KafkaStreams streams = new KafkaStreams(topology(options), settings(options));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
      return null;
    });
    streams.start();
  }

  private static Topology topology(Map<String, String> options) {
    StreamsBuilder builder = new StreamsBuilder();
    if (options.get("job").equals("change")) change(builder, options);
    else count(builder, options);
    return builder.build();
  }

  /** The key is passed on as it is. */
  private static void change(StreamsBuilder builder, Map<String, String> options) {
    Serde<byte[]> keys = Serdes.ByteArray();
    Serde<Bid> bids = Json.serde(Bid.class);
    builder
        .stream(options.get("input"), Consumed.with(keys, bids))
        .mapValues(bid -> {
          bid.price *= 0.908;
          return bid;
        })
        .to(options.get("output"), Produced.with(keys, bids));
  }

  /** Records have the auction as their key, so nothing is repartitioned; a window gives one result, when it closes. */
  private static void count(StreamsBuilder builder, Map<String, String> options) {
    Serde<String> keys = Serdes.String();
    Serde<Bid> bids = Json.serde(Bid.class);
    Materialized.StoreType store =
        options.getOrDefault("store", "rocksdb").equals("memory") ? Materialized.StoreType.IN_MEMORY : Materialized.StoreType.ROCKS_DB;
    builder
        .stream(
            options.get("input"),
            Consumed.with(keys, bids).withTimestampExtractor((entry, partitionTime) -> ((Bid) entry.value()).dateTime))
        .groupByKey(Grouped.with(keys, bids))
        .windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW))
        .emitStrategy(EmitStrategy.onWindowClose())
        .count(Materialized.as(store))
        .toStream()
        .map((window, count) -> {
          WindowCount result = new WindowCount(window.key(), window.window().start(), window.window().end(), count);
          return new KeyValue<>(result.key(), result);
        })
        .to(options.get("output"), Produced.with(keys, Json.serde(WindowCount.class)));
  }

  private static Properties settings(Map<String, String> options) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, options.get("application"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, options.get("brokers"));
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Integer.parseInt(options.getOrDefault("threads", "1")));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, options.get("state"));
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
    // Closed windows are looked for once a second otherwise, and only when a record comes: the last ones would never be given out.
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, 0L);
    String linger = options.get("linger");
    if (linger != null) settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), linger);
    return settings;
  }
}
