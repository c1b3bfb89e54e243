package millrace.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;

/** Images as they are sent, into a buffer of floats. */
final class Pixels {
  static final int COUNT = 784;

  /** Fills the buffer from its beginning. */
  interface Decoder {
    void decode(byte[] image, FloatBuffer pixels);
  }

  private Pixels() {}

  /** A byte for each pixel. */
  static void ofBytes(byte[] image, FloatBuffer pixels) {
    if (image.length != COUNT) throw new IllegalArgumentException(image.length + " bytes");
    for (int index = 0; index < COUNT; index++) pixels.put(index, (image[index] & 0xff) / 255f);
  }

  /** {"id": …, "pixels": [784 numbers]}, by Jackson's streaming parser. */
  static Decoder ofJson(boolean fast) {
    JsonFactory factory = JsonFactory.builder().configure(StreamReadFeature.USE_FAST_DOUBLE_PARSER, fast).build();
    return (image, pixels) -> {
      try (JsonParser parser = factory.createParser(image)) {
        int count = 0;
        while (parser.nextToken() != null) {
          if (parser.currentToken() != JsonToken.FIELD_NAME || !parser.currentName().equals("pixels")) continue;
          parser.nextToken();
          while (parser.nextToken() != JsonToken.END_ARRAY) pixels.put(count++, parser.getFloatValue());
        }
        if (count != COUNT) throw new IllegalArgumentException(count + " pixels");
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    };
  }
}
