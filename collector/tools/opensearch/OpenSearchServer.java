import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node with plugins from the class path; its own main class loads them from a
 * distribution's folders. The argument is its home, with config/opensearch.yml.
 */
public final class OpenSearchServer extends Node {
    private OpenSearchServer(Environment environment) {
        super(environment, List.of(Netty4Plugin.class, CommonAnalysisPlugin.class), true);
    }

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.configureWithoutConfig(Settings.EMPTY);
        Settings home = Settings.builder().put("path.home", arguments[0]).build();
        Path config = Path.of(arguments[0], "config");
        Node node = new OpenSearchServer(
            InternalSettingsPreparer.prepareEnvironment(home, Map.of(), config, () -> "node"));
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed)));
        node.start();
        closed.await();
    }

    private static void close(Node node, CountDownLatch closed) {
        try {
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        }
        closed.countDown();
    }
}
