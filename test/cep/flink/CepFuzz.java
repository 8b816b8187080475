import java.io.*; import java.nio.file.*; import java.time.Duration; import java.util.*;
import org.apache.flink.api.common.eventtime.*;
import org.apache.flink.api.common.typeinfo.*;
import org.apache.flink.api.java.tuple.*;
import org.apache.flink.cep.*;
import org.apache.flink.cep.functions.*;
import org.apache.flink.cep.nfa.aftermatch.AfterMatchSkipStrategy;
import org.apache.flink.cep.pattern.*;
import org.apache.flink.cep.pattern.conditions.SimpleCondition;
import org.apache.flink.configuration.*;
import org.apache.flink.streaming.api.datastream.*;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.*;

public class CepFuzz {
  // event: key, id, type, ts
  static final class In extends SimpleCondition<Tuple4<Integer,Integer,String,Long>> { final String set; In(String s){set=s;} @Override public boolean filter(Tuple4<Integer,Integer,String,Long> e){ return set.contains(e.f2);} }
  static Pattern<Tuple4<Integer,Integer,String,Long>,?> parse(String spec) {
    Pattern<Tuple4<Integer,Integer,String,Long>,Tuple4<Integer,Integer,String,Long>> p = null; AfterMatchSkipStrategy skip = AfterMatchSkipStrategy.noSkip();
    String[] toks = spec.split(";");
    for (String t : toks) if (t.startsWith("skip ")) { String[] a = t.split(" "); switch (a[1]) { case "next" -> skip = AfterMatchSkipStrategy.skipToNext(); case "pastLast" -> skip = AfterMatchSkipStrategy.skipPastLastEvent(); case "toFirst" -> skip = AfterMatchSkipStrategy.skipToFirst(a[2]); case "toLast" -> skip = AfterMatchSkipStrategy.skipToLast(a[2]); default -> {} } }
    for (String t : toks) { String[] a = t.split(" ");
      switch (a[0]) {
        case "begin" -> p = Pattern.<Tuple4<Integer,Integer,String,Long>>begin(a[1], skip).where(new In(a[2]));
        case "next" -> p = p.next(a[1]).where(new In(a[2]));
        case "followedBy" -> p = p.followedBy(a[1]).where(new In(a[2]));
        case "followedByAny" -> p = p.followedByAny(a[1]).where(new In(a[2]));
        case "notNext" -> p = p.notNext(a[1]).where(new In(a[2]));
        case "notFollowedBy" -> p = p.notFollowedBy(a[1]).where(new In(a[2]));
        case "times" -> p = a.length > 2 ? p.times(Integer.parseInt(a[1]), Integer.parseInt(a[2])) : p.times(Integer.parseInt(a[1]));
        case "timesOrMore" -> p = p.timesOrMore(Integer.parseInt(a[1]));
        case "oneOrMore" -> p = p.oneOrMore();
        case "optional" -> p = p.optional();
        case "greedy" -> p = p.greedy();
        case "consecutive" -> p = p.consecutive();
        case "allowCombinations" -> p = p.allowCombinations();
        case "until" -> p = p.until(new In(a[1]));
        case "within" -> p = p.within(Duration.ofMillis(Long.parseLong(a[1])));
        default -> {}
      } }
    return p;
  }
  static final class Gen implements WatermarkGenerator<Tuple4<Integer,Integer,String,Long>> { long max = Long.MIN_VALUE; @Override public void onEvent(Tuple4<Integer,Integer,String,Long> e, long ts, WatermarkOutput o) { if (ts > max) { max = ts; o.emitWatermark(new Watermark(max - 1)); } } @Override public void onPeriodicEmit(WatermarkOutput o) {} }
  static String show(Map<String, List<Tuple4<Integer,Integer,String,Long>>> m) { StringBuilder s = new StringBuilder(); for (String k : new TreeSet<>(m.keySet())) { s.append(k).append('='); for (var e : m.get(k)) s.append(e.f1).append(','); s.append(' '); } return s.toString().trim(); }
  public static void main(String[] a) throws Exception {
    List<String> specs = Files.readAllLines(Path.of(a[0])); List<Tuple4<Integer,Integer,String,Long>> evs = new ArrayList<>();
    for (String l : Files.readAllLines(Path.of(a[1]))) { String[] f = l.split(" "); evs.add(Tuple4.of(Integer.parseInt(f[0]), Integer.parseInt(f[1]), f[2], Long.parseLong(f[3]))); }
    int batch = 40; PrintWriter out = new PrintWriter(a[2]);
    for (int from = 0; from < specs.size(); from += batch) {
      Configuration c = new Configuration(); c.setString("rest.port", "0"); c.setString("taskmanager.memory.network.min", "256mb"); c.setString("taskmanager.memory.network.max", "256mb"); c.setString("state.backend.type", "hashmap");
      StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, c);
      DataStream<Tuple4<Integer,Integer,String,Long>> in = env.fromData(evs, TypeInformation.of(new TypeHint<Tuple4<Integer,Integer,String,Long>>(){}))
        .assignTimestampsAndWatermarks(WatermarkStrategy.<Tuple4<Integer,Integer,String,Long>>forGenerator(x -> new Gen()).withTimestampAssigner((e, t) -> e.f3));
      DataStream<String> all = null;
      for (int i = from; i < Math.min(specs.size(), from + batch); i++) { final int n = i;
        Pattern<Tuple4<Integer,Integer,String,Long>,?> p; 
        try { p = parse(specs.get(i)); org.apache.flink.cep.nfa.compiler.NFACompiler.compileFactory(p, true); } catch (Exception e) { out.println("X " + i + " " + e.getMessage()); continue; }
        OutputTag<String> late = new OutputTag<>("t" + i, Types.STRING);
        SingleOutputStreamOperator<String> r = CEP.pattern(in.keyBy(e -> e.f0), p, (EventComparator<Tuple4<Integer,Integer,String,Long>>) (x, y) -> Integer.compare(x.f1, y.f1)).inEventTime().process(new Proc(n, late)).returns(Types.STRING);
        DataStream<String> both = r.union(r.getSideOutput(late));
        all = all == null ? both : all.union(both);
      }
      if (all == null) continue;
      try (CloseableIterator<String> it = all.executeAndCollect()) { while (it.hasNext()) out.println(it.next()); } catch (Exception e) { Throwable t = e; while (t.getCause() != null) t = t.getCause(); out.println("E " + from + " " + t); }
    }
    out.close(); System.exit(0);
  }
  static final class Proc extends PatternProcessFunction<Tuple4<Integer,Integer,String,Long>, String> implements TimedOutPartialMatchHandler<Tuple4<Integer,Integer,String,Long>> {
    final int n; final OutputTag<String> tag; Proc(int n, OutputTag<String> t) { this.n = n; tag = t; }
    static int key(Map<String, List<Tuple4<Integer,Integer,String,Long>>> m) { for (var l : m.values()) for (var e : l) return e.f0; return -1; }
    @Override public void processMatch(Map<String, List<Tuple4<Integer,Integer,String,Long>>> m, Context c, Collector<String> o) { o.collect("M " + n + " " + key(m) + " " + show(m)); }
    @Override public void processTimedOutMatch(Map<String, List<Tuple4<Integer,Integer,String,Long>>> m, Context c) { c.output(tag, "T " + n + " " + key(m) + " " + show(m)); }
  }
}
