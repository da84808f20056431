// A Clone client over JeroMQ in the shape of the ZeroMQ guide's Java clients: uuids are text, `ttl` is
// a property, chp clients publish to every server at once. It takes commands from standard input and
// says on standard output what it hears; tests/harness/guide_peers.py runs it.
//
//   GuideClient kvmsg|chp SUBTREE SNAPSHOT UPDATES COLLECTOR [COLLECTOR…]
//
//   put <tab> KEY <tab> TTL <tab> VALUE    publishes an update; TTL as it goes into the property, or empty
//
//   SNAPSHOT|UPDATE <tab> KEY <tab> SEQUENCE <tab> VALUE
//   SYNCED <tab> SEQUENCE
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.zeromq.ZMQ;

public class GuideClient {
    private static final int KEY = 0, SEQUENCE = 1, VALUE = 4, FRAMES = 5;

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[][] receive(ZMQ.Socket socket) {
        byte[][] message = new byte[FRAMES][];
        int count = 0;
        do {
            byte[] frame = socket.recv(0);
            if (frame == null) return null;
            if (count < FRAMES) message[count] = frame;
            ++count;
        } while (socket.hasReceiveMore());
        if (count != FRAMES) throw new IllegalStateException(count + " frames");
        return message;
    }

    private static void publish(ZMQ.Socket socket, String[] command) {
        socket.send(bytes(command[1]), ZMQ.SNDMORE);
        socket.send(ByteBuffer.allocate(8).putLong(0).array(), ZMQ.SNDMORE);
        socket.send(bytes(UUID.randomUUID().toString()), ZMQ.SNDMORE);
        socket.send(bytes(command[2].isEmpty() ? "" : "ttl=" + command[2] + "\n"), ZMQ.SNDMORE);
        socket.send(bytes(command.length > 3 ? command[3] : ""), 0);
    }

    private static String text(byte[] frame) {
        return new String(frame, StandardCharsets.ISO_8859_1);
    }

    private static long sequence(byte[][] message) {
        return ByteBuffer.wrap(message[SEQUENCE]).getLong();
    }

    private static void tell(String what, byte[][] message) {
        System.out.println(String.join("\t", what, text(message[KEY]), Long.toString(sequence(message)),
                text(message[VALUE])));
    }

    private static void readCommands(ConcurrentLinkedQueue<String[]> commands) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                commands.add(line.split("\t", -1));
            }
        } catch (java.io.IOException failure) {
            System.err.println(failure);
        }
        System.exit(0); // the test is over
    }

    public static void main(String[] arguments) {
        boolean chp = arguments[0].equals("chp");
        String subtree = arguments[1];
        ZMQ.Context context = ZMQ.context(1);
        ZMQ.Socket snapshot = context.socket(ZMQ.DEALER);
        snapshot.connect(arguments[2]);
        ZMQ.Socket updates = context.socket(ZMQ.SUB);
        updates.subscribe(bytes(subtree));
        if (chp) updates.subscribe(bytes("HUGZ"));
        updates.connect(arguments[3]);
        ZMQ.Socket publisher = context.socket(chp ? ZMQ.PUB : ZMQ.PUSH);
        for (int i = 4; i < arguments.length; ++i) publisher.connect(arguments[i]);

        ConcurrentLinkedQueue<String[]> commands = new ConcurrentLinkedQueue<>();
        Thread reader = new Thread(() -> readCommands(commands));
        reader.setDaemon(true);
        reader.start();

        snapshot.setReceiveTimeOut(1000);
        long last = -1;
        while (last < 0) {
            snapshot.send(bytes("ICANHAZ?"), ZMQ.SNDMORE);
            snapshot.send(bytes(subtree), 0);
            for (byte[][] message = receive(snapshot); message != null; message = receive(snapshot)) {
                if (text(message[KEY]).equals("KTHXBAI")) {
                    last = sequence(message);
                    break;
                }
                tell("SNAPSHOT", message);
            }
        }
        System.out.println("SYNCED\t" + last);
        updates.setReceiveTimeOut(20);
        while (true) {
            for (String[] command = commands.poll(); command != null; command = commands.poll()) {
                publish(publisher, command);
            }
            byte[][] message = receive(updates);
            if (message == null || text(message[KEY]).equals("HUGZ") || sequence(message) <= last) continue;
            last = sequence(message);
            tell("UPDATE", message);
        }
    }
}
