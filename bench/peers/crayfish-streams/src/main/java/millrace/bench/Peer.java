package millrace.bench;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Scores images, one record at a time, until it is told to end. Arguments, as name=value: brokers, application, input, output, model (an ONNX file),
 * format (json or u8), parser (default, or fast for Jackson's fast parser of numbers), threads, state (a folder), linger (of the producer, in
 * milliseconds; Kafka Streams' own default is 100).
 */
public final class Peer {
  private Peer() {}

  public static void main(String[] args) throws OrtException {
    Map<String, String> options = new HashMap<>();
    for (String arg : args) {
      int sign = arg.indexOf('=');
      options.put(arg.substring(0, sign), arg.substring(sign + 1));
    }
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    OrtSession.SessionOptions session = new OrtSession.SessionOptions();
    session.setIntraOpNumThreads(1);
    session.setInterOpNumThreads(1);
    OrtSession model = environment.createSession(options.get("model"), session);
    KafkaStreams streams = new KafkaStreams(topology(options, environment, model), settings(options));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(1);
      return null;
    });
    streams.start();
  }

  /** The key is the image's id, and is passed on as it is. */
  private static Topology topology(Map<String, String> options, OrtEnvironment environment, OrtSession model) {
    Serde<byte[]> bytes = Serdes.ByteArray();
    Pixels.Decoder decoder = options.get("format").equals("u8") ? Pixels::ofBytes : Pixels.ofJson("fast".equals(options.get("parser")));
    // Buffers are direct, and belong to a thread.
    ThreadLocal<Scorer> scorers = ThreadLocal.withInitial(() -> new Scorer(environment, model, decoder));
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .stream(options.get("input"), Consumed.with(bytes, bytes))
        .mapValues((key, image) -> scorers.get().score(key, image))
        .to(options.get("output"), Produced.with(bytes, bytes));
    return builder.build();
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
    String linger = options.get("linger");
    if (linger != null) settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), linger);
    return settings;
  }
}
