package io.ballast.core.config.reader;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.yaml.YamlDocument;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SchemaTest {
    private static final Path REFERENCE = Path.of("../docs/reference/configuration.md");

    @Test
    void theReferenceInTheRepositoryIsTheGeneratedOne() throws IOException {
        if (Boolean.getBoolean("ballast.write-reference")) {
            Files.writeString(REFERENCE, DescriptionSchema.markdown());
        }
        assertThat(Files.readString(REFERENCE))
                .as("write it anew: mvn -pl core test -Dtest=SchemaTest -Dballast.write-reference=true")
                .isEqualTo(DescriptionSchema.markdown());
    }

    private static List<MapType<?>> allMaps() {
        List<MapType<?>> maps = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        RootSchema.ROOT.visitMaps(new Type.MapVisitor() {
            @Override
            public void map(MapType<?> map) {
                if (seen.add(map.name())) {
                    maps.add(map);
                }
            }

            @Override
            public void variants(VariantType<?> type) {
                if (seen.add(type.name())) {
                    type.variants().values().forEach(v -> v.visitMaps(this));
                }
            }
        });
        return maps;
    }

    @Test
    void everyExampleIsAValueOfItsKey() {
        for (MapType<?> map : allMaps()) {
            for (Key<?> key : map.keys()) {
                if (!key.example().isEmpty()) {
                    var problems = new Problems(map.name() + "." + key.name(), new byte[0]);
                    var scope = new Scope(problems);
                    scope.enter("example");
                    scope.checksKnown = true;
                    scope.nodeNames.addAll(List.of("director1", "director2"));
                    if (key.name().equals("directors")) {
                        assertThat(key.type().read(YamlDocument.value(key.example()), scope))
                                .isNotNull();
                    } else {
                        key.type().read(YamlDocument.value(key.example()), scope);
                    }
                    assertThat(problems.list()).isEmpty();
                }
                assertThat(key.doc()).as("%s.%s", map.name(), key.name()).endsWith(".");
            }
        }
    }

    @Test
    void everyReferenceInTheSchemaLeadsSomewhere() {
        JsonObject schema = DescriptionSchema.jsonSchema();
        Set<String> references = new HashSet<>();
        collect(schema, references);
        assertThat(references).isNotEmpty();
        assertThat(schema.getAsJsonObject("$defs").keySet().stream().map(k -> "#/$defs/" + k))
                .containsAll(references);
        assertThat(schema.get("$schema").getAsString()).isEqualTo("https://json-schema.org/draft/2020-12/schema");
    }

    private static void collect(JsonElement element, Set<String> references) {
        if (element instanceof JsonObject object) {
            for (Map.Entry<String, JsonElement> entry : object.entrySet()) {
                if (entry.getKey().equals("$ref")) {
                    references.add(entry.getValue().getAsString());
                }
                collect(entry.getValue(), references);
            }
        } else if (element instanceof JsonArray array) {
            array.forEach(e -> collect(e, references));
        }
    }

    /** Every key of every check is set to something that is not its default, and is found again in the record. */
    @Test
    void everyKindOfCheckIsRead() {
        String text = """
                checks:
                  icmp: { type: icmp, size: 100, interval: 2s, timeout: 1s, rise: 4, fall: 5, initial: down, jitter: 20%%,
                          backoff: 1m, source: 10.0.0.1, bind-interface: eth0, host: "10.0.0.9:99" }
                  tcp: { type: tcp, send: "a\\r\\n", expect: { text: b }, tls: true, port: 81 }
                  udp: { type: udp, send: "", expect: { regex: "^b" } }
                  http: { type: http, method: PUT, path: "/x?y=z", host-header: h, headers: { X-A: b }, version: 2,
                          expect: { status: [200, 301-302], regex: r, digest: %s } }
                  https: { type: https, host: "fe.example.com",
                           tls: { sni: s.example.com, verify: false, pin: "%s", min-days-left: 7 } }
                  smtp: { type: smtp, helo: me.example.com, starttls: true }
                  smtps: { type: smtp, tls: { verify: false } }
                  dns: { type: dns, query: example.com, record: MX, tcp: true, expect: { answer: a, rcode: NXDOMAIN } }
                  ftp: { type: ftp, tls: true }
                  imap: { type: imap }
                  pop3: { type: pop3 }
                  mysql: { type: mysql, user: u, password-file: /p, max-lag: 9s }
                  redis: { type: redis, password-file: /p }
                  memcached: { type: memcached }
                  ldap: { type: ldap, bind-dn: "cn=a", password-file: /p }
                  grpc: { type: grpc, service: s }
                  exec: { type: exec, command: [/bin/true, "${address}", 1] }
                  file: { type: file, path: /f, present: false }
                services:
                  web:
                    listen: "127.0.0.1:80"
                    servers: ["10.0.0.2:80"]
                    checks: [icmp, tcp, udp, http, https, smtp, smtps, dns, ftp, imap, pop3, mysql, redis, memcached,
                             ldap, grpc, exec, file]
                """.formatted("ab".repeat(32), "cd".repeat(32));
        ReadResult result = new DescriptionReader().read("t", text);
        assertThat(result.problems()).isEmpty();
        List<CheckSpec> checks = result.description()
                .orElseThrow()
                .services()
                .firstEntry()
                .getValue()
                .checks();
        assertThat(checks)
                .extracting(c -> c.name() + " " + c.probe().yamlName())
                .contains("https http", "smtps smtp", "mysql mysql");
        CheckSpec icmp = checks.getFirst();
        assertThat(icmp.toString())
                .isEqualTo("CheckSpec[name=icmp, interval=PT2S, timeout=PT1S, rise=4, fall=5, initial=DOWN, jitter=0.2,"
                        + " backoff=PT1M, source=Optional[/10.0.0.1], bindInterface=Optional[eth0],"
                        + " host=Optional[10.0.0.9:99], port=0, probe=Icmp[size=100]]");
        assertThat(checks.get(1).port()).isEqualTo(81);
        assertThat(checks.get(4).host()).contains(new HostPort("fe.example.com", 0));
        assertThat(checks.stream().map(c -> c.probe().toString()))
                .containsExactly(
                        "Icmp[size=100]",
                        "Tcp[send=Optional[a\r\n], expect=Optional[TextMatch[text=b, regex=false]], tls=Optional[Tls"
                                + "[sni=Optional.empty, verify=true, pin=Optional.empty,"
                                + " minDaysLeft=OptionalInt.empty]]]",
                        "Udp[send=, expect=Optional[TextMatch[text=^b, regex=true]]]",
                        "Http[method=PUT, path=/x?y=z, hostHeader=Optional[h], headers={X-A=b}, statuses=[200, 301-302],"
                                + " body=Optional[TextMatch[text=r, regex=true]], digest=Optional[" + "ab".repeat(32)
                                + "], version=HTTP_2, tls=Optional.empty]",
                        "Http[method=GET, path=/, hostHeader=Optional.empty, headers={}, statuses=[200-299],"
                                + " body=Optional.empty, digest=Optional.empty, version=HTTP_1_1, tls=Optional[Tls"
                                + "[sni=Optional[s.example.com], verify=false, pin=Optional[" + "cd".repeat(32)
                                + "], minDaysLeft=OptionalInt[7]]]]",
                        "Smtp[helo=me.example.com, startTls=true, tls=Optional[Tls[sni=Optional.empty, verify=true,"
                                + " pin=Optional.empty, minDaysLeft=OptionalInt.empty]]]",
                        "Smtp[helo=localhost, startTls=false, tls=Optional[Tls[sni=Optional.empty, verify=false,"
                                + " pin=Optional.empty, minDaysLeft=OptionalInt.empty]]]",
                        "Dns[query=example.com, type=MX, expect=Optional[a], rcode=NXDOMAIN, tcp=true]",
                        "Ftp[tls=Optional[Tls[sni=Optional.empty, verify=true, pin=Optional.empty,"
                                + " minDaysLeft=OptionalInt.empty]]]",
                        "Imap[tls=Optional.empty]",
                        "Pop3[tls=Optional.empty]",
                        "Mysql[user=Optional[u], passwordFile=Optional[/p], maxLag=Optional[PT9S]]",
                        "Redis[passwordFile=Optional[/p]]",
                        "Memcached[]",
                        "Ldap[bindDn=Optional[cn=a], passwordFile=Optional[/p], tls=Optional.empty]",
                        "Grpc[service=s, tls=Optional.empty]",
                        "Exec[command=[/bin/true, ${address}, 1]]",
                        "File[path=/f, present=false]");
        assertThat(checks.stream()
                        .map(CheckSpec::probe)
                        .map(ProbeSpec::getClass)
                        .distinct()
                        .count())
                .as("kinds of probe in this test")
                .isEqualTo(ProbeSpec.class.getPermittedSubclasses().length);
    }

    @Test
    void checksWithoutANameAreNumberedWhereTheirTypeRepeats() {
        String text = """
                services:
                  web:
                    listen: "127.0.0.1:80"
                    servers: ["10.0.0.2:80", { address: "10.0.0.3:80", checks: [{ type: icmp }] }]
                    checks: [{ type: tcp }, { type: http }, { type: tcp, port: 81 }, { type: tcp, name: last }]
                """;
        var web = new DescriptionReader()
                .read("t", text)
                .description()
                .orElseThrow()
                .services()
                .firstEntry()
                .getValue();
        assertThat(web.checks()).extracting(CheckSpec::name).containsExactly("tcp", "http", "tcp-2", "last");
        assertThat(web.servers().get(0).checks()).isEqualTo(web.checks());
        assertThat(web.servers().get(1).checks()).extracting(CheckSpec::name).containsExactly("icmp");
    }

    @Test
    void aNodesNameBecomesItsAddressNextToADirector() {
        String text = """
                nodes:
                  lb: { interfaces: { out: { addresses: [192.0.2.1/24] }, in: { addresses: ["fd00::1/64", 10.1.0.254/24] } } }
                  www1: { interfaces: { mgmt: { addresses: [172.16.0.1/24] }, eth0: { addresses: [10.1.0.1/24] } } }
                  far: { interfaces: { eth0: { addresses: [172.16.9.1/24, 172.16.9.2/24] } } }
                services:
                  web:
                    listen: "192.0.2.1:80"
                    servers: [www1, far, "lb:8080", "WWW1.example.com:80"]
                """;
        ReadResult result = new DescriptionReader().read("t", text);
        assertThat(result.problems()).isEmpty();
        var web = result.description().orElseThrow().services().firstEntry().getValue();
        assertThat(web.servers())
                .extracting(s -> s.name() + " " + s.address())
                .containsExactly(
                        "www1 10.1.0.1:80",
                        "far 172.16.9.1:80",
                        "lb [fd00::1]:8080",
                        "WWW1.example.com:80 WWW1.example.com:80");
    }

    @Test
    void namesMayFollowTheServicesThatUseThem() {
        String after = """
                services:
                  web: { listen: "127.0.0.1:80", servers: ["www1:80"], checks: [page], directors: [www2] }
                checks: { page: { type: http } }
                nodes:
                  www1: { interfaces: { eth0: { addresses: [10.1.0.1/24] } } }
                  www2:
                """;
        int checks = after.indexOf("checks: {");
        String before = after.substring(checks) + after.substring(0, checks);
        ReadResult result = new DescriptionReader().read("t", after);
        assertThat(result.problems()).isEmpty();
        assertThat(result).isEqualTo(new DescriptionReader().read("t", before));
        assertThat(Optional.of(result.description()
                        .orElseThrow()
                        .services()
                        .firstEntry()
                        .getValue()
                        .servers()
                        .getFirst()
                        .address()))
                .contains(new HostPort("10.1.0.1", 80));
    }
}
