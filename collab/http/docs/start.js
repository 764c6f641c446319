// Shows the contract that this node serves. `validatorUrl: null`: no document goes to a validator elsewhere.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#operations", deepLinking: true, validatorUrl: null });
