package io.ballast.health.probe;

import io.ballast.core.config.ProbeSpec;
import io.ballast.health.Probe;

/** Knows which class asks which question, and holds what the probes share. */
public final class ProbeFactory {

    /** Looks at files that may be under way at a time; more than one hangs only where a file system does. */
    private static final int MAX_FILE_LOOKS = 16;

    /** Check programs that may run at a time. */
    private static final int MAX_PROGRAMS = 32;

    private final TlsClient tls;
    private final BlockingCalls programs = new BlockingCalls(MAX_PROGRAMS, "check programs");
    private final BlockingCalls files = new BlockingCalls(MAX_FILE_LOOKS, "looks at files");

    private ProbeFactory(TrustAnchors anchors) {
        this.tls = new TlsClient(anchors);
    }

    /** Probes that trust what the system trusts. */
    public static ProbeFactory system() {
        return new ProbeFactory(TrustAnchors.system());
    }

    /** Probes that trust these certificates only. */
    static ProbeFactory trusting(TrustAnchors anchors) {
        return new ProbeFactory(anchors);
    }

    /**
     * The probe for a description.
     *
     * @throws IllegalArgumentException where the description contradicts itself
     */
    public Probe of(ProbeSpec spec) {
        return switch (spec) {
            case ProbeSpec.Icmp icmp -> new IcmpProbe(icmp);
            case ProbeSpec.Tcp tcp -> new TcpProbe(tcp, tls);
            case ProbeSpec.Http http -> new HttpProbe(http, tls);
            case ProbeSpec.Exec exec -> new ExecProbe(exec, programs);
            case ProbeSpec.File file -> new FileProbe(file, files);
            case ProbeSpec.Udp udp -> new UdpProbe(udp);
            case ProbeSpec.Smtp smtp -> new SmtpProbe(smtp, tls);
            case ProbeSpec.Dns dns -> new DnsProbe(dns);
            case ProbeSpec.Ftp ftp -> new GreetingProbe(GreetingProbe.Protocol.FTP, ftp.tls(), tls);
            case ProbeSpec.Imap imap -> new GreetingProbe(GreetingProbe.Protocol.IMAP, imap.tls(), tls);
            case ProbeSpec.Pop3 pop3 -> new GreetingProbe(GreetingProbe.Protocol.POP3, pop3.tls(), tls);
            case ProbeSpec.Mysql mysql -> new MysqlProbe(mysql);
            case ProbeSpec.Redis redis -> new RedisProbe(redis);
            case ProbeSpec.Memcached _ -> new MemcachedProbe();
            case ProbeSpec.Ldap ldap -> new LdapProbe(ldap, tls);
            case ProbeSpec.Grpc grpc -> new GrpcProbe(grpc, tls);
        };
    }
}
