import java.nio.file.*;
import java.util.*;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.*;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/**
 * The job of ../pipeline.ts in Flink: a running count of each user's events. One subtask of the counts throws once, in the middle.
 * Failover SUBTASKS RATE SECONDS KILL_AT_SECONDS|- CHECKPOINT_MS VICTIM FILE : writes what ../settings.ts calls a trace, as JSON.
 */
public final class Failover {
  static int rate;
  static long events, killAtMs;
  /** Of the first event: set when the source asks for it first. */
  static volatile long startedAt;
  static int victim;
  static volatile long killedAt;
  /** By subtask. They outlive a restart, as all tasks are in this one JVM. */
  static final List<ConcurrentLinkedQueue<long[]>> seen = new ArrayList<>();
  static final List<ConcurrentLinkedQueue<Long>> commits = new ArrayList<>();

  public static void main(String[] a) throws Exception {
    int subtasks = Integer.parseInt(a[0]);
    rate = Integer.parseInt(a[1]);
    int seconds = Integer.parseInt(a[2]);
    events = (long) rate * seconds;
    victim = Integer.parseInt(a[5]);
    for (int i = 0; i < subtasks; i++) { seen.add(new ConcurrentLinkedQueue<>()); commits.add(new ConcurrentLinkedQueue<>()); }
    Path tmp = Files.createTempDirectory("flink-failover");
    StreamExecutionEnvironment env = environment(subtasks, a[4], tmp);
    killAtMs = a[3].equals("-") ? Long.MAX_VALUE / 2 : (long) (Double.parseDouble(a[3]) * 1000);
    DataGeneratorSource<String> source = new DataGeneratorSource<>(Failover::event, events, RateLimiterStrategy.noOp(), Types.STRING);
    env.fromSource(source, WatermarkStrategy.noWatermarks(), "events").setParallelism(1)
        .map(Event::parse).returns(Event.class).setParallelism(1)
        .keyBy(e -> e.user)
        .process(new Counts()).setParallelism(subtasks)
        .sinkTo(new DiscardingSink<>()).setParallelism(subtasks);
    env.execute("failover");
    Files.writeString(Path.of(a[6]), trace());
    try (var s = Files.walk(tmp)) { s.sorted(Comparator.reverseOrder()).forEach(p -> p.toFile().delete()); }
    Runtime.getRuntime().halt(0);
  }

  static StreamExecutionEnvironment environment(int subtasks, String checkpointMs, Path tmp) {
    Configuration c = new Configuration();
    c.setString("state.backend.type", "hashmap");
    c.setString("taskmanager.numberOfTaskSlots", Integer.toString(subtasks));
    c.setString("taskmanager.memory.network.min", "256mb");
    c.setString("taskmanager.memory.network.max", "256mb");
    c.setString("pipeline.object-reuse", "true");
    c.setString("rest.port", "0");
    c.setString("rest.bind-port", "0");
    c.setString("execution.checkpointing.interval", checkpointMs + "ms");
    c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    c.setString("execution.checkpointing.storage", "filesystem");
    c.setString("execution.checkpointing.dir", tmp.resolve("ckpt").toUri().toString());
    c.setString("jobmanager.execution.failover-strategy", "region");
    // As soon as it can: the default waits a second at least.
    c.setString("restart-strategy.type", "fixed-delay");
    c.setString("restart-strategy.fixed-delay.attempts", "3");
    c.setString("restart-strategy.fixed-delay.delay", "0 s");
    return StreamExecutionEnvironment.createLocalEnvironment(subtasks, c);
  }

  /** When it is due, and at once when it was due before: after a restart a stream gives what it has as fast as it is read. */
  static String event(long id) throws InterruptedException {
    // All tasks have started by then: what is measured is not their first start.
    if (startedAt == 0) startedAt = System.currentTimeMillis() + 3_000;
    long wait = startedAt + id * 1000 / rate - System.currentTimeMillis();
    if (wait > 0) Thread.sleep(wait);
    return "{\"id\":" + id + ",\"user\":\"u" + id * 7919 % 1000 + "\"}";
  }

  public static final class Event {
    public long id;
    public String user;
    static Event parse(String json) {
      Event e = new Event();
      int comma = json.indexOf(',');
      e.id = Long.parseLong(json.substring(6, comma));
      e.user = json.substring(comma + 9, json.length() - 2);
      return e;
    }
  }

  static final class Counts extends KeyedProcessFunction<String, Event, String> implements CheckpointListener {
    private ValueState<Long> count;
    private int subtask;
    @Override public void open(OpenContext c) {
      count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
      subtask = getRuntimeContext().getTaskInfo().getIndexOfThisSubtask();
    }
    @Override public void processElement(Event e, Context c, Collector<String> out) throws Exception {
      long now = System.currentTimeMillis();
      seen.get(subtask).add(new long[] {e.id, now});
      if (subtask == victim && killedAt == 0 && now >= startedAt + killAtMs) { killedAt = now; throw new IllegalStateException("the failure that is measured"); }
      long n = (count.value() == null ? 0 : count.value()) + 1;
      count.update(n);
      out.collect("{\"id\":" + e.id + ",\"user\":\"" + e.user + "\",\"count\":" + n + "}");
    }
    @Override public void notifyCheckpointComplete(long id) { commits.get(subtask).add(System.currentTimeMillis()); }
  }

  static String trace() {
    StringBuilder s = new StringBuilder("{\"startedAt\":" + startedAt);
    if (killedAt != 0) s.append(",\"killedAt\":" + killedAt);
    s.append(",\"seen\":[");
    for (int i = 0; i < seen.size(); i++) {
      s.append(i == 0 ? "[" : ",[");
      String comma = "";
      for (long[] x : seen.get(i)) { s.append(comma).append('[').append(x[0]).append(',').append(x[1]).append(']'); comma = ","; }
      s.append(']');
    }
    return s.append("],\"commits\":").append(commits).append('}').toString();
  }
}
