import com.fasterxml.jackson.core.*;
import java.lang.management.ManagementFactory;
import java.nio.file.*;
import java.util.*;
import org.apache.flink.api.common.JobExecutionResult;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * The job of ../point.ts in Flink: a running sum for each key, all of which come equally often.
 * Scale KEYS SUBTASKS EVENTS STRIDE CHECKPOINT_MS hashmap|rocksdb : prints what one run took, as JSON.
 */
public final class Scale {
  private static final JsonFactory JSON = new JsonFactory();

  public static void main(String[] a) throws Exception {
    long keys = Long.parseLong(a[0]), events = Long.parseLong(a[2]), stride = Long.parseLong(a[3]);
    int subtasks = Integer.parseInt(a[1]);
    Path tmp = Files.createTempDirectory("flink-scale");
    Path checkpoints = tmp.resolve("ckpt");
    StreamExecutionEnvironment env = environment(subtasks, a[4], a[5], tmp, checkpoints);
    var os = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long cpu = os.getProcessCpuTime();
    env.fromSource(new DataGeneratorSource<>(i -> event(i, keys, stride), events, Types.STRING), WatermarkStrategy.noWatermarks(), "payments").setParallelism(1)
        .map(Payment::parse).returns(Payment.class).setParallelism(1)
        .keyBy(p -> p.account)
        .reduce((x, y) -> new Payment(x.account, x.amount + y.amount)).setParallelism(subtasks)
        .map(Payment::toString).returns(Types.STRING).setParallelism(subtasks)
        .sinkTo(new DiscardingSink<>()).setParallelism(subtasks);
    JobExecutionResult done = env.execute("scale");
    double cpuSeconds = (os.getProcessCpuTime() - cpu) / 1e9;
    System.out.printf(Locale.ROOT, "{\"events\":%d,\"seconds\":%.3f,\"cpuSeconds\":%.3f,\"checkpoints\":%d}%n", events, done.getNetRuntime() / 1000.0, cpuSeconds, last(checkpoints));
    try (var s = Files.walk(tmp)) { s.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete()); }
    Runtime.getRuntime().halt(0);
  }

  static StreamExecutionEnvironment environment(int subtasks, String checkpointMs, String backend, Path tmp, Path checkpoints) {
    Configuration c = new Configuration();
    c.setString("state.backend.type", backend);
    c.setString("execution.checkpointing.incremental", "true");
    c.setString("state.backend.rocksdb.localdir", tmp.resolve("rocksdb").toString());
    c.setString("taskmanager.memory.managed.size", "1g");
    c.setString("taskmanager.numberOfTaskSlots", Integer.toString(subtasks));
    c.setString("taskmanager.memory.network.min", "256mb");
    c.setString("taskmanager.memory.network.max", "256mb");
    c.setString("pipeline.object-reuse", "true");
    c.setString("rest.port", "0");
    c.setString("rest.bind-port", "0");
    c.setString("execution.checkpointing.interval", checkpointMs + "ms");
    c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    c.setString("execution.checkpointing.storage", "filesystem");
    c.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
    return StreamExecutionEnvironment.createLocalEnvironment(subtasks, c);
  }

  static String event(long i, long keys, long stride) {
    return "{\"account\":\"account-" + i * stride % keys + "\",\"amount\":" + i % 100 + "}";
  }

  /** The number of the last one that is kept. */
  static long last(Path checkpoints) throws Exception {
    if (!Files.isDirectory(checkpoints)) return 0;
    try (var s = Files.walk(checkpoints)) {
      return s.map(p -> p.getFileName().toString()).filter(n -> n.startsWith("chk-")).mapToLong(n -> Long.parseLong(n.substring(4))).max().orElse(0);
    }
  }

  public static final class Payment {
    public String account;
    public long amount;
    public Payment() {}
    Payment(String account, long amount) { this.account = account; this.amount = amount; }
    static Payment parse(String line) throws Exception {
      Payment p = new Payment();
      try (JsonParser j = JSON.createParser(line)) {
        j.nextToken();
        for (String k; (k = j.nextFieldName()) != null; ) {
          j.nextToken();
          switch (k) {
            case "account" -> p.account = j.getText();
            case "amount" -> p.amount = j.getLongValue();
            default -> j.skipChildren();
          }
        }
      }
      return p;
    }
    @Override public String toString() { return "{\"account\":\"" + account + "\",\"amount\":" + amount + "}"; }
  }
}
