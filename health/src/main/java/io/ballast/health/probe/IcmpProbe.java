package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Texts;
import io.ballast.linux.Ping;
import java.io.IOException;
import java.net.Inet6Address;

/** An echo request and its reply. */
final class IcmpProbe extends NetworkProbe {

    private final ProbeSpec.Icmp spec;

    IcmpProbe(ProbeSpec.Icmp spec) {
        this.spec = spec;
    }

    @Override
    void ask(Attempt attempt) throws IOException {
        attempt.await(attempt.target().address() instanceof Inet6Address ? "ICMPv6 echo reply" : "ICMP echo reply");
        long nanos = Ping.echo(
                attempt.target().address(),
                attempt.target().source().orElse(null),
                attempt.target().bindInterface().orElse(null),
                spec.size(),
                attempt.deadline().nanoTime());
        attempt.say("echo reply in " + Texts.took(nanos));
    }
}
