/** A button that saves the raw OTLP of the page: what `flash-otel show --json` prints. */
export function Download({ of, name }) {
  const onClick = () => {
    const blob = new Blob([JSON.stringify(of, null, 2)], { type: "application/json" });
    const address = URL.createObjectURL(blob);
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    URL.revokeObjectURL(address);
  };
  return (
    <button type="button" class="tool" onClick={onClick}>
      Save as OTLP
    </button>
  );
}
