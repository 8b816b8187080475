#!/usr/bin/env bash
# The source functions on topics of a real Kafka: a broker from Maven (KRaft, 100 MB the first time), started for the test and stopped behind it.
# usage: test/kafka/run.sh     needs java (17) and mvn; KAFKA_HOME (default: below the temporary directory), KAFKA_PORT and the one above it
set -euo pipefail
cd "$(dirname "$0")/../.."
home=${KAFKA_HOME:-${TMPDIR:-/tmp}/millrace-kafka}
port=${KAFKA_PORT:-19092}
mkdir -p "$home"
[ -d "$home/jars" ] || mvn -q -B -ntp -f test/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$home/jars"
rm -rf "$home/data"
cat >"$home/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
log.dirs=$home/data
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
PROPERTIES
export KAFKA_CLASSPATH="$home/jars/*" KAFKA_BOOTSTRAP=127.0.0.1:$port
java -cp "$KAFKA_CLASSPATH" kafka.tools.StorageTool format --cluster-id MillraceMillraceMillra --config "$home/server.properties" >/dev/null
java -Xmx512m -cp "$KAFKA_CLASSPATH" kafka.Kafka "$home/server.properties" >"$home/broker.log" 2>&1 &
trap "kill $!" EXIT
for _ in $(seq 100); do (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null && break; sleep 0.2; done
node_modules/.bin/node --test 'test/kafka/*.test.ts'
