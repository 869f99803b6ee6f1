#!/usr/bin/env bash
# "Verify ID Matching", Step 5 of the diagnostic logging guide, as a script.
#
#   bash docs/guide-step5.sh deploy.log mothership_logs.log
#
# This is the guide's own script, corrected only where its patterns cannot match its own lines:
#
# 1. `\w+` became `[\w.-]+`: Runpod's ids may be UUIDs, and `\w` stops at their first dash, so
#    two ids with the same beginning would count as equal.
# 2. `\[RUNTIME SYNC\]: Querying` and `\[STATE MANAGER\]: environment_id` lost their colon: the lines
#    have none after the bracket.
# 3. `grep` became `grep -a`: in a log with a byte that is not UTF-8, grep prints "Binary file matches"
#    instead of the lines.
#
# The script has limits: it treats two missing ids as equal, and equal ids do not prove that the
# manifest is complete. This command checks both:
#
#   flash-otel diagnose --from deploy.log --from mothership_logs.log

DEPLOY_LOG=${1:-deploy.log}
WORKER_LOG=${2:-mothership_logs.log}

# From deployment
DEPLOY_BUILD_ID=$(grep -a "\[DEPLOY SYNC\]" "$DEPLOY_LOG" | grep -aoP "build_id=\K[\w.-]+" | head -1)
DEPLOY_ENV_ID=$(grep -a "\[DEPLOY SYNC\]" "$DEPLOY_LOG" | grep -aoP "environment_id=\K[\w.-]+" | head -1)

# From runtime
RUNTIME_ENV_ID=$(grep -a "\[RUNTIME SYNC\] Querying" "$WORKER_LOG" | grep -aoP "environment_id=\K[\w.-]+" | head -1)
STATE_MGR_BUILD_ID=$(grep -a "\[STATE MANAGER\] environment_id" "$WORKER_LOG" | grep -aoP "activeBuildId=\K[\w.-]+" | head -1)

# Print comparison
echo "Deployment:"
echo "  build_id: $DEPLOY_BUILD_ID"
echo "  environment_id: $DEPLOY_ENV_ID"
echo ""
echo "Runtime:"
echo "  environment_id: $RUNTIME_ENV_ID"
echo "  activeBuildId: $STATE_MGR_BUILD_ID"
echo ""
echo "ID Matching:"
echo "  build_id → activeBuildId: $([ "$DEPLOY_BUILD_ID" = "$STATE_MGR_BUILD_ID" ] && echo "✓ MATCH" || echo "✗ MISMATCH")"
echo "  environment_id match: $([ "$DEPLOY_ENV_ID" = "$RUNTIME_ENV_ID" ] && echo "✓ MATCH" || echo "✗ MISMATCH")"
