"""How `models/text/finder.onnx` is made: texts painted over photographs, drawn scenes and plain grounds."""
