from tests.simulator.test_truth_and_fold import *
from tests.simulator.conftest import *
import os
async def test_x(options):
    chosen = replace(options, scenario=Scenario(os.environ["SC"]), seed=int(os.environ["SEED"]), speed=1.0, duration=900)
    (life,) = lives(chosen, 0, lambda: 0.0)
    pace = SteppedPace(1.0); folder = Folder(chosen.settings.sources, pace)
    orig=folder._fold
    def f(source, job_id, channel, signed, body):
        orig(source, job_id, channel, signed, body)
        st=folder.states[(source.name,job_id)]; sc=st.script
        import re
        if b"REPLY" in body or b"reply_command" in body or b"RTMP" in body: return
        m=re.search(rb'sequence_no\D*(\d+)',body); o=re.search(rb'offset\D*(\d+)',body)
        sc_=re.search(rb'(?:script_name)\W*([^"]*)"',body)
        import json
        names={k:i for i,k in enumerate(sc.plan)}
        print(round(pace.now()-1750000000),channel.value,signed and signed-1750000000, sc_ and sc_.group(1).decode()[:20], m and m.group(1), o and o.group(1), "rounds",sc.rounds, "played",sc.round and [names[k] for k in sc.round.played], "last", sc.round and names[sc.round.last], "T",sc.tentative and names[sc.tentative.paragraph], "aw",sc.round and {names[k]:v for k,v in sc.round.awaited.items()}, "missed",st.missed, len(sc.plan))
    folder._fold=f
    async with httpx.AsyncClient(transport=httpx.MockTransport(folder.answer)) as client:
        courier = Courier(life.identity, client, Addresses("http://receiver.test", "http://admin.test"), pace, None, Counter())
        for delivery in life.deliveries: assert await courier.deliver(delivery)
    print(life.identity, st_ if False else list(folder.states.values())[0].job)
    print(expectation(courier.told.values()))
