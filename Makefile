.PHONY: proto
VENV := .venv
PY := $(VENV)/bin/python

proto: ## Generate the stubs in portcullis/v1 from proto/
	$(PY) -m grpc_tools.protoc -I proto --plugin=protoc-gen-mypy=$(VENV)/bin/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(VENV)/bin/protoc-gen-mypy_grpc \
	  --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. proto/portcullis/v1/*.proto
