package io.ballast.node;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One node process in a run directory: the kernel's lock on a file, which ends with its process however that dies. The
 * file holds the process id, for messages.
 */
final class InstanceLock implements AutoCloseable {
    private static final long LOOK_AGAIN_MILLIS = 10;

    private final FileChannel channel;

    private InstanceLock(FileChannel channel) {
        this.channel = channel;
    }

    /** Takes the lock; null when another process has it. */
    static @Nullable InstanceLock tryTake(Path file) throws IOException {
        FileChannel channel = FileChannel.open(
                file,
                Set.of(StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try {
            FileLock lock = channel.tryLock();
            if (lock == null) {
                channel.close();
                return null;
            }
            channel.truncate(0);
            var _ = channel.write(
                    ByteBuffer.wrap((ProcessHandle.current().pid() + "\n").getBytes(StandardCharsets.US_ASCII)), 0);
            return new InstanceLock(channel);
        } catch (IOException e) {
            channel.close();
            throw new IOException("lock " + file + ": " + e.getMessage(), e);
        }
    }

    /** Takes the lock once the process that has it lets go; null when it does not in time. */
    static @Nullable InstanceLock take(Path file, Duration patience) throws IOException, InterruptedException {
        long deadline = System.nanoTime() + patience.toNanos();
        while (true) {
            InstanceLock lock = tryTake(file);
            if (lock != null || System.nanoTime() - deadline > 0) {
                return lock;
            }
            TimeUnit.MILLISECONDS.sleep(LOOK_AGAIN_MILLIS);
        }
    }

    /** Who has the lock, as far as the file tells: {@code pid 123}. */
    static String holder(Path file) {
        try {
            String pid = java.nio.file.Files.readString(file).strip();
            return pid.isEmpty() ? "a process that has not said its id yet" : "pid " + pid;
        } catch (IOException e) {
            return "a process of another user";
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
