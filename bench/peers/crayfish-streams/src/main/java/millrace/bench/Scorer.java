package millrace.bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Scores one image after the other, in buffers that are used again. */
final class Scorer {
  private static final int CLASSES = 10;

  private final OrtSession model;
  private final Pixels.Decoder decoder;
  private final FloatBuffer pixels = direct(Pixels.COUNT);
  private final FloatBuffer probabilities = direct(CLASSES);
  private final Map<String, OnnxTensor> inputs;
  private final Map<String, OnnxTensor> outputs;
  private final StringBuilder text = new StringBuilder(256);

  Scorer(OrtEnvironment environment, OrtSession model, Pixels.Decoder decoder) {
    this.model = model;
    this.decoder = decoder;
    try {
      inputs = Map.of("pixels", OnnxTensor.createTensor(environment, pixels, new long[] {1, Pixels.COUNT}));
      outputs = Map.of("probabilities", OnnxTensor.createTensor(environment, probabilities, new long[] {1, CLASSES}));
    } catch (OrtException error) {
      throw new IllegalStateException(error);
    }
  }

  /** {"id": …, "class": …, "probs": [10 numbers of six decimals]}. */
  byte[] score(byte[] id, byte[] image) {
    decoder.decode(image, pixels);
    try (OrtSession.Result result = model.run(inputs, outputs)) {
      int best = 0;
      for (int index = 1; index < CLASSES; index++) if (probabilities.get(index) > probabilities.get(best)) best = index;
      text.setLength(0);
      text.append("{\"id\":\"").append(new String(id, StandardCharsets.UTF_8)).append("\",\"class\":").append(best).append(",\"probs\":[");
      for (int index = 0; index < CLASSES; index++) {
        if (index > 0) text.append(',');
        text.append(Math.round(probabilities.get(index) * 1e6) / 1e6);
      }
      return text.append("]}").toString().getBytes(StandardCharsets.UTF_8);
    } catch (OrtException error) {
      throw new IllegalStateException(error);
    }
  }

  private static FloatBuffer direct(int floats) {
    return ByteBuffer.allocateDirect(floats * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
  }
}
