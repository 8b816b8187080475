import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * fill SERVERS TOPIC PARTITIONS: lines of standard input, `partition TAB value`, in transactions, with aborted ones in between, so that offsets have gaps.
 * poll SERVERS TOPIC GROUP: what Lambda's poller does, by commands on standard input: `poll N` writes one event as Lambda has it, `commit` takes it for done, `again` goes back.
 */
class Topic {
  public static void main(String[] args) throws Exception {
    Properties config = new Properties();
    config.put("bootstrap.servers", args[1]);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    if (args[0].equals("fill")) fill(config, in, args[2], Integer.parseInt(args[3]));
    else poll(config, in, args[2], args[3]);
  }

  static void fill(Properties config, BufferedReader in, String topic, int partitions) throws Exception {
    try (Admin admin = Admin.create(config)) {
      admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
    }
    config.put("transactional.id", topic);
    try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
      producer.initTransactions();
      List<String> lines = in.lines().toList();
      for (int from = 0; from < lines.size(); from += 7) {
        List<String> some = lines.subList(from, Math.min(from + 7, lines.size()));
        if (from % 21 == 0) {
          producer.beginTransaction();
          for (String line : some) send(producer, topic, line.replaceAll("\t.*", "\t{\"aborted\":true}"));
          producer.flush();
          producer.abortTransaction();
        }
        producer.beginTransaction();
        for (String line : some) send(producer, topic, line);
        producer.commitTransaction();
      }
    }
  }

  static void send(KafkaProducer<String, String> producer, String topic, String line) {
    int tab = line.indexOf('\t');
    producer.send(new ProducerRecord<>(topic, Integer.parseInt(line.substring(0, tab)), null, line.substring(tab + 1)));
  }

  static void poll(Properties config, BufferedReader in, String topic, String group) throws Exception {
    config.put("group.id", group);
    config.put("enable.auto.commit", "false");
    config.put("auto.offset.reset", "earliest");
    config.put("isolation.level", "read_committed");
    try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
      var partitions = consumer.partitionsFor(topic).stream().map(p -> new org.apache.kafka.common.TopicPartition(topic, p.partition())).toList();
      consumer.assign(partitions);
      List<ConsumerRecord<String, String>> waiting = new ArrayList<>();
      int taken = 0;
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        if (line.startsWith("poll ")) {
          for (int tries = 0; waiting.isEmpty() && tries < 10; tries++)
            for (var record : consumer.poll(Duration.ofMillis(300))) waiting.add(record);
          taken = Math.min(Integer.parseInt(line.substring(5)), waiting.size());
          System.out.println(event(waiting.subList(0, taken)));
        } else if (line.equals("commit")) {
          Map<org.apache.kafka.common.TopicPartition, org.apache.kafka.clients.consumer.OffsetAndMetadata> done = new TreeMap<>((a, b) -> a.partition() - b.partition());
          for (var r : waiting.subList(0, taken))
            done.put(new org.apache.kafka.common.TopicPartition(topic, r.partition()), new org.apache.kafka.clients.consumer.OffsetAndMetadata(r.offset() + 1));
          consumer.commitSync(done);
          waiting.subList(0, taken).clear();
        } // 'again': the same records, and perhaps more of them, with the next poll
      }
    }
  }

  static String event(List<ConsumerRecord<String, String>> records) {
    Map<String, List<String>> batches = new TreeMap<>();
    for (var r : records) {
      String value = Base64.getEncoder().encodeToString(r.value().getBytes(StandardCharsets.UTF_8));
      batches.computeIfAbsent(r.topic() + "-" + r.partition(), name -> new ArrayList<>()).add(String.format(
          "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%d,\"timestamp\":%d,\"timestampType\":\"CREATE_TIME\",\"value\":\"%s\",\"headers\":[]}",
          r.topic(), r.partition(), r.offset(), r.timestamp(), value));
    }
    List<String> parts = batches.entrySet().stream().map(e -> "\"" + e.getKey() + "\":[" + String.join(",", e.getValue()) + "]").toList();
    return "{\"eventSource\":\"SelfManagedKafka\",\"records\":{" + String.join(",", parts) + "}}";
  }
}
