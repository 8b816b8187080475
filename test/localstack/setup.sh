#!/usr/bin/env bash
# LocalStack 4.14.0 (the last release that asks for no token) without Docker: PyPI, npm and Maven Central only.
# usage: setup.sh [HOME_DIR]   installs into HOME_DIR (default LOCALSTACK_HOME, else .localstack below the working directory), about
# 550 MB and 2 minutes the first time; again: nothing to do. Needs python 3.13, node, JDK 17 or newer, mvn.
set -euo pipefail
SRC=$(cd "$(dirname "$0")" && pwd); DIR=${1:-${LOCALSTACK_HOME:-.localstack}}; R=$(mkdir -p "$DIR" && cd "$DIR" && pwd)
for PY in "${PY:-}" python3.13 python3 "$(pyenv root 2>/dev/null)"/versions/3.13*/bin/python; do
  "$PY" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null && break; PY=; done
[ -n "$PY" ] || { echo "no Python 3.13 or newer found: set PY" >&2; exit 1; }
JVM=${JVM:-$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")}
DDB=2.6.1; KINESIS=0.5.2; JSONATA=0.9.7; JACKSON=2.16.2
LIB=$R/fs/var/lib/localstack/lib; mkdir -p "$R/logs" "$LIB"
STAMP=$(cat "$SRC/setup.sh" "$SRC/requirements.lock" "$SRC"/plugin/*.* | sha256sum | cut -c1-16)
[ "$(cat "$R/stamp" 2>/dev/null)" = "$STAMP" ] && { echo "already set up in $R"; exit 0; }

# 1. LocalStack (Apache-2.0) and the executor that runs Node functions as processes. The lock matters: newer cbor2 and
#    pyOpenSSL break 4.14.
[ -x "$R/venv/bin/python" ] || "$PY" -m venv "$R/venv"
"$R/venv/bin/python" -m pip install -q -r "$SRC/requirements.lock"
rm -rf "$R/plugin"; cp -r "$SRC/plugin" "$R/plugin"
"$R/venv/bin/python" -m pip install -q --force-reinstall --no-deps "$R/plugin"

# 2. The Lambda runtime client (its C++ part is replaced by plugin/bootstrap.mjs) and kinesis-mock, where LocalStack's
#    own installer looks for it.
npm i --no-audit --no-fund --ignore-scripts --prefix "$R/node" aws-lambda-ric@3.3.0
npm i --no-audit --no-fund --prefix "$LIB/kinesis-local/$KINESIS" kinesis-local@$KINESIS

# 3. The "java 21" it wants is the JDK at hand (DynamoDBLocal 2.6.1 needs 17).
mkdir -p "$LIB/java"; ln -sfn "$JVM" "$LIB/java/21"

# 4. DynamoDBLocal from Maven Central, laid out as its zip would be. Its java agent (only lifts the 20-index limit) is
#    on no registry: a no-op takes its place.
D=$LIB/dynamodb-local/2; T=$(mktemp -d); mkdir -p "$D/DynamoDBLocal_lib"
cat > "$T/pom.xml" <<'P'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>x</groupId><artifactId>x</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>com.amazonaws</groupId><artifactId>DynamoDBLocal</artifactId><version>${ddb.version}</version></dependency>
</dependencies></project>
P
mvn -q -B -f "$T/pom.xml" dependency:copy-dependencies -Dddb.version=$DDB -DoutputDirectory="$D/DynamoDBLocal_lib" -DincludeScope=runtime
(cd "$D/DynamoDBLocal_lib" && rm -f ./*.dll ./*.dylib && for so in libsqlite4java-linux-*-*.so; do ln -sf "$so" "${so%-*}.so"; done)
{ echo "Manifest-Version: 1.0"; echo "Main-Class: com.amazonaws.services.dynamodbv2.local.main.ServerRunner"
  echo 'Class-Path: .'; for j in "$D"/DynamoDBLocal_lib/*.jar; do printf '  DynamoDBLocal_lib/%s\n' "$(basename "$j")"; done; } > "$T/m"
jar cfm "$D/DynamoDBLocal.jar" "$T/m"
cat > "$T/Agent.java" <<'J'
public class Agent { public static void premain(String a, java.lang.instrument.Instrumentation i) {} }
J
(cd "$T" && javac --release 17 Agent.java && printf 'Premain-Class: Agent\n' > am && jar cfm "$D/ddb-local-loader-0.1.jar" am Agent.class)

# 5. JSONata (Step Functions), where its Maven installer looks.
J=$LIB/jsonata/$JSONATA; mkdir -p "$J"
for a in com.dashjoin:jsonata:$JSONATA com.fasterxml.jackson.core:jackson-{core,annotations,databind}:$JACKSON; do
  mvn -q -B dependency:copy -Dartifact=$a -DoutputDirectory="$J"; done
rm -rf "$T"; echo "$STAMP" > "$R/stamp"; echo "set up in $R: $(du -sh "$R" | cut -f1)"
