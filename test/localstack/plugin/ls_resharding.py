"""Mappings of streams whose shards are split and merged, as Lambda has them.

LocalStack 4.14 begins all shards of a stream anew whenever it comes to the end of a closed one: closed shards are then
read for ever, and an open one that is listed before a closed one never gets beyond its first batch. Lambda goes on where
it is, leaves out what it has read to its end, and begins with a child behind all of its parents.
"""
from functools import cache

from localstack.services.lambda_.event_source_mapping.pollers.kinesis_poller import KinesisPoller


@cache  # once: with each function LocalStack loads the plugin again, and after some hundreds calls within calls are too many
def patch():
    poll, get_records, all_shards = KinesisPoller.poll_events_from_shard, KinesisPoller.get_records, KinesisPoller.initialize_shards

    def poll_events_from_shard(self, shard_id, shard_iterator):
        self.polled = shard_id
        poll(self, shard_id, shard_iterator)

    def get_records_of(self, shard_iterator):
        self.answered = False
        answer = get_records(self, shard_iterator)
        self.answered = True
        if not answer.get("NextShardIterator"):
            ended(self).add(self.polled)
        return answer

    def initialize_shards(self):
        # Without an answer, it is since iterators are no good any more.
        known = self.shards if getattr(self, "answered", False) else {}
        begun = all_shards(self)
        waiting = waits(self) if begun else set()
        shards = {shard: begun[shard] for shard in begun if shard not in waiting} | known
        return {shard: at for shard, at in shards.items() if shard not in ended(self)}

    def waits(self):
        listed = self.source_client.describe_stream(StreamARN=self.source_arn)["StreamDescription"]["Shards"]
        ids = {shard["ShardId"] for shard in listed}
        parents = {s["ShardId"]: {s.get("ParentShardId"), s.get("AdjacentParentShardId")} & ids for s in listed}
        return {shard for shard in ids if parents[shard] - ended(self)}

    def ended(self):
        return self.__dict__.setdefault("ended_shards", set())

    KinesisPoller.poll_events_from_shard = poll_events_from_shard
    KinesisPoller.get_records = get_records_of
    KinesisPoller.initialize_shards = initialize_shards
