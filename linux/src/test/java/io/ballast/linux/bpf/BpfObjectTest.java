package io.ballast.linux.bpf;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ballast.linux.Errno;
import io.ballast.linux.Host;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class BpfObjectTest {
    private static TestRun.Result run(BpfProgram program, MemorySegment frame, MemorySegment out) throws Exception {
        return program.testRun(TestRun.of(frame).into(out));
    }

    @Test
    void objectTellsWhatItHoldsBeforeItIsLoaded() throws Exception {
        try (BpfObject object = Fixture.open()) {
            assertThat(object.maps()).containsExactlyInAnyOrder("settings", "table", "totals", "rings", "events");
            assertThat(object.programs()).containsExactly("count", "pass");
            assertThat(object.shape("table")).isEqualTo(new MapShape(MapType.HASH, 8, 8, 16, 0));
            assertThat(object.shape("settings")).isEqualTo(new MapShape(MapType.ARRAY, 4, 8, 4, MapShape.MMAPABLE));
            assertThatThrownBy(() -> object.map("table"))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("count: table is not loaded");
            assertThatThrownBy(() -> object.map("tabel")).hasMessageContaining("has no map tabel; it has [");
            assertThatThrownBy(() -> object.program("cuont"))
                    .hasMessage("count: has no program cuont; it has [count, pass]");
        }
    }

    @Test
    void constantsAndSizesAreSetBeforeLoading() throws Exception {
        try (Arena arena = Arena.ofConfined();
                BpfObject object = Fixture.open()) {
            object.set("limit", 0xA5);
            object.set("wide", 1L << 40);
            object.set("flag", new byte[] {1});
            object.resize("table", 1000);
            object.load();
            try (BpfProgram count = object.program("count");
                    BpfMap totals = object.map("totals");
                    BpfMap table = object.map("table")) {
                assertThat(table.info().shape().maxEntries()).isEqualTo(1000);
                MemorySegment frame = arena.allocate(64);
                MemorySegment out = arena.allocate(64);
                TestRun.Result result = run(count, frame, out);
                assertThat(result.action()).isEqualTo(XdpAction.ABORTED);
                assertThat(result.length()).isEqualTo(64);
                assertThat(out.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 0xA5);

                MemorySegment value = arena.allocate(totals.valueBytes(), 8);
                assertThat(totals.lookup(arena.allocateFrom(ValueLayout.JAVA_INT, 1), value))
                        .isTrue();
                long sum = 0;
                for (int cpu = 0; cpu < BpfMap.possibleCpus(); cpu++) {
                    sum += value.get(ValueLayout.JAVA_LONG, cpu * totals.stride());
                }
                assertThat(sum).isEqualTo(1L << 40);
            }
        }
    }

    @Test
    void variablesThatAreNotThereOrTooSmallAreRefused() throws Exception {
        try (BpfObject object = Fixture.open()) {
            assertThatThrownBy(() -> object.set("limt", 1)).hasMessage("count: has no variable limt");
            assertThatThrownBy(() -> object.set("table", 1)).hasMessage("count: has no variable table");
            assertThatThrownBy(() -> object.set("flag", 256)).hasMessage("count: 256 does not fit flag of 8 bits");
            assertThatThrownBy(() -> object.set("flag", -129)).isInstanceOf(IllegalArgumentException.class);
            object.set("flag", 255);
            object.set("flag", -128);
            object.set("limit", 0xffffffffL);
            assertThatThrownBy(() -> object.set("limit", 1L << 32)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> object.set("limit", new byte[5])).hasMessage("count: limit has 4 bytes, not 5");
            object.set("wide", -1);
        }
    }

    @Test
    void whatWasTakenOutOutlivesTheObject() throws Exception {
        BpfProgram pass;
        BpfMap table;
        BpfObject object = Fixture.open();
        try (object) {
            object.autoload("count", false);
            object.load();
            pass = object.program("pass");
            table = object.map("table");
            assertThatThrownBy(() -> object.program("count")).hasMessage("count: count is not loaded");
        }
        object.close();
        assertThatThrownBy(object::maps).hasMessage("count: closed");
        try (pass;
                table;
                Arena arena = Arena.ofConfined()) {
            assertThat(pass.testRun(TestRun.of(arena.allocate(14))).action()).isEqualTo(XdpAction.PASS);
            table.update(new byte[8], new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
            assertThat(table.lookup(new byte[8])).containsExactly(1, 2, 3, 4, 5, 6, 7, 8);
        }
    }

    @Test
    void existingMapTakesThePlaceOfADeclaredOne() throws Exception {
        try (BpfObject first = Fixture.open();
                BpfObject second = Fixture.open();
                Arena arena = Arena.ofConfined()) {
            first.load();
            try (BpfMap settings = first.map("settings")) {
                second.reuse("settings", settings);
                second.load();
                try (BpfProgram count = second.program("count");
                        BpfMap same = second.map("settings")) {
                    assertThat(same.info().id()).isEqualTo(settings.info().id());
                    first.mmap("settings", arena).set(ValueLayout.JAVA_LONG, 0, XdpAction.TX.number());
                    assertThat(count.testRun(TestRun.of(arena.allocate(60))).action())
                            .isEqualTo(XdpAction.TX);
                    assertThat(count.info().mapIds()).contains(settings.info().id());
                }
            }
        }
    }

    @Test
    void variablesAreReadWhereTheProgramHasThem() throws Exception {
        try (BpfObject object = Fixture.open();
                Arena arena = Arena.ofConfined()) {
            object.load();
            MemorySegment seen = object.mmap(".bss", arena);
            try (BpfProgram count = object.program("count")) {
                count.testRun(TestRun.of(arena.allocate(60)).times(10));
            }
            assertThat(seen.get(ValueLayout.JAVA_LONG, 0)).isEqualTo(10);
            assertThatThrownBy(() -> object.mmap(".rodata", arena))
                    .hasMessageContaining("EPERM: operation not permitted (the map is frozen: read-only)");
        }
    }

    @Test
    void verifiersReasonIsInTheMessage() throws Exception {
        Fixture.assumeLoading();
        try (BpfObject object = BpfObject.open("refused", Fixture.object("refused"))) {
            BpfException e = catchThrowableOfType(BpfException.class, object::load);
            assertThat(e.errno()).isEqualTo(Errno.EACCES);
            assertThat(e).hasMessageStartingWith("load refused into the kernel: EACCES: permission denied");
            assertThat(e).hasMessageContaining("invalid access to packet, off=23 size=1");
            assertThat(e).hasMessageContaining("prog 'careless': BPF program load failed");
            assertThat(e.log()).contains("BEGIN PROG LOAD LOG");
        }
    }

    @Test
    void mapTooLargeForTheKernelIsNamedWhenLoading() throws Exception {
        try (BpfObject object = Fixture.open()) {
            object.resize("table", -1);
            BpfException e = catchThrowableOfType(BpfException.class, object::load);
            assertThat(e.errno()).isEqualTo(Errno.E2BIG);
            assertThat(e).hasMessageContaining("map 'table': failed to create");
        }
    }

    @Test
    void brokenFilesAreRefusedAndNeverEndTheProcess() throws Exception {
        byte[] good;
        try (BpfObject object = Fixture.open()) {
            good = Fixture.object("count");
            assertThat(object.maps()).isNotEmpty();
        }
        assertThatThrownBy(() -> BpfObject.open("empty", new byte[0])).isInstanceOf(BpfException.class);
        assertThatThrownBy(() -> BpfObject.open("text", "not an object".getBytes(UTF_8)))
                .isInstanceOf(BpfException.class)
                .hasMessageStartingWith("open text: ")
                .hasMessageContaining("ELF");
        for (int length = 1; length < good.length; length += 997) {
            byte[] cut = Arrays.copyOf(good, length);
            assertThatThrownBy(() -> BpfObject.open("cut", cut)).isInstanceOf(BpfException.class);
        }
    }

    @Test
    void symbolTableOfDamagedFilesGivesAnErrorOrAnAnswer() throws Exception {
        byte[] good = Fixture.object("count");
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < 3_000; i++) {
            byte[] damaged = good.clone();
            for (int flips = random.nextInt(1, 8); flips > 0; flips--) {
                // Half of them where it hurts: the header and the section table at the end.
                int at = random.nextBoolean() ? random.nextInt(64) : random.nextInt(damaged.length);
                damaged[at] = (byte) random.nextInt();
            }
            try {
                new ElfSymbols(damaged).find("nosuch");
            } catch (IndexOutOfBoundsException | IllegalArgumentException | ArithmeticException e) {
                assertThat(e).isNotNull();
            }
        }
    }

    @Test
    void missingLibraryIsNamedWithItsPackage() {
        assertThatThrownBy(() -> Libbpf.open("libnosuch.so.1"))
                .hasMessage("libbpf1 is not installed: no libnosuch.so.1 (apt-get install libbpf1)");
    }

    @Test
    void missingPermissionIsNamed() throws Exception {
        try (BpfObject object = Fixture.open()) {
            assertThatThrownBy(() -> Host.withoutCapabilities(() -> {
                        object.load();
                        return null;
                    }))
                    .isInstanceOf(BpfException.class)
                    .hasMessageContaining("EPERM: operation not permitted (needs CAP_BPF and CAP_NET_ADMIN)");
        }
    }
}
